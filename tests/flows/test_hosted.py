"""Runs that a server started wait for their study's turn; Prefect's answers by hand."""

from contextlib import ExitStack, nullcontext
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from flows import hosted


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
