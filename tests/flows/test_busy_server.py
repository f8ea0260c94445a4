"""A Prefect server that is busy when the deployments are made."""

from unittest.mock import Mock
from uuid import uuid4

import httpx
import pytest
from prefect.deployments.runner import DeploymentApplyError
from prefect.exceptions import PrefectHTTPStatusError

from flows import busy_server, deployments
from pipeline.errors import UserError


def answer(status):
    """The error that Prefect's client and its deployments make of such an answer."""
    request = httpx.Request("POST", "http://prefect:4200/api/deployments/")
    response = httpx.Response(status, request=request, json={"exception_message": "?"})
    try:
        response.raise_for_status()
    except httpx.HTTPStatusError as error:
        try:
            raise PrefectHTTPStatusError.from_httpx_error(error)
        except PrefectHTTPStatusError as error:
            try:
                raise DeploymentApplyError(str(error)) from error
            except DeploymentApplyError as error:
                return error


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(busy_server, "PAUSE_SECONDS", 0.0)


def asked(*answers):
    """A function that has these answers in turn."""
    left = list(answers)

    def ask():
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return ask


def test_a_busy_server_is_asked_again_and_that_is_said(capsys):
    assert busy_server.patiently(asked(answer(503), httpx.ConnectError("refused"), answer(500), "made")) == "made"
    said = capsys.readouterr().err
    assert said.count("it is asked again") == 3
    assert "the Prefect server says 503 Service Unavailable" in said
    assert "nothing (ConnectError)" in said


@pytest.mark.parametrize("error", [answer(401), answer(422), KeyError("a bug")], ids=["401", "422", "bug"])
def test_what_does_not_pass_by_itself_is_raised_at_once(error, capsys):
    with pytest.raises(type(error)):
        busy_server.patiently(asked(error, "made"))
    assert capsys.readouterr().err == ""


def test_in_the_end_it_is_a_sentence():
    with pytest.raises(
        UserError, match=r"does not take our deployments \(503 Service Unavailable\): look into its log"
    ):
        busy_server.patiently(asked(answer(503), answer(503)), seconds=-1)


def test_a_deployment_that_cannot_be_switched_off_again_is_told(monkeypatch, capsys):
    monkeypatch.setattr(deployments, "get_client", Mock(side_effect=httpx.ConnectError("refused")))
    deployments._switch_off("reproduce", uuid4())
    assert "has switched it on: switch it off in the UI (ConnectError)" in capsys.readouterr().err
