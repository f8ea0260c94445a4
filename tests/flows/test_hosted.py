"""Runs that a server started wait for their study's turn; Prefect's answers by hand."""

from contextlib import ExitStack, nullcontext
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from flows import deployments, hosted


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
