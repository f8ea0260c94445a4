"""Runs that a server started wait for their study's turn; Prefect's answers by hand."""

from contextlib import ExitStack, nullcontext
from types import SimpleNamespace
from unittest.mock import Mock

import httpx
import pytest
from prefect.deployments.runner import DeploymentApplyError
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

from flows import deployments, hosted
from pipeline.errors import UserError


@pytest.mark.parametrize(
    ("holders", "freed"),
    [
        ([[], ["one that has just got the slot"]], 0),  # it marks itself a moment after it got it
        ([["one"], []], 0),
        ([[], []], 1),  # the server has forgotten to free the slot
    ],
)
def test_a_slot_is_freed_when_two_looks_find_no_holder(monkeypatch, holders, freed):
    client, answers = Mock(), iter([*[TimeoutError] * len(holders), None])

    def slot(*_, **__):
        if error := next(answers):
            raise error
        return nullcontext()

    monkeypatch.setattr(hosted, "concurrency", slot)
    monkeypatch.setattr(hosted, "get_client", lambda **_: nullcontext(client))
    monkeypatch.setattr(hosted, "_holders", lambda *_: holders.pop(0))
    monkeypatch.setattr(hosted, "get_run_logger", lambda: SimpleNamespace(info=lambda _: None))
    with ExitStack() as stack:
        hosted._take_turn(stack, "smoke")
    assert client.update_global_concurrency_limit.call_count == freed


def test_of_two_runners_that_start_at_once_both_serve(monkeypatch):
    """What one did not find a moment ago, the other has made meanwhile."""
    client = Mock()
    client.read_global_concurrency_limit_by_name.side_effect = ObjectNotFound(http_exc=Exception())
    client.create_global_concurrency_limit.side_effect = ObjectAlreadyExists(http_exc=Exception())
    monkeypatch.setattr(deployments, "_registered", lambda _client, name, *_: name)
    assert list(deployments.register(client)) == list(deployments.FLOWS)


def refused(status):
    """What Prefect's client makes of such an answer."""
    request = httpx.Request("POST", "http://prefect:4200/api/deployments/")
    response = httpx.Response(status, request=request, json={"exception_message": "?"})
    return PrefectHTTPStatusError.from_httpx_error(
        httpx.HTTPStatusError(f"Server error '{status}' for url '{request.url}'", request=request, response=response)
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refused(503), r"Server error '503' for url '\S+'\. Look into its log"),
        (
            DeploymentApplyError(f"Error while applying deployment: {refused(500)}"),
            r"Server error '500' for \S+ '\S+'\. ",
        ),
        (httpx.ConnectError(""), r"ConnectError\. Look"),
    ],
    ids=["answer", "deployment", "no answer"],
)
def test_a_server_that_takes_no_deployments_is_answered_in_a_sentence(monkeypatch, error, said):
    monkeypatch.setattr(deployments, "get_client", lambda **_: nullcontext(Mock()))
    monkeypatch.setattr(deployments, "register", Mock(side_effect=error))
    with pytest.raises(UserError, match=f"does not take the deployments: .*{said}"):
        deployments.registered()
