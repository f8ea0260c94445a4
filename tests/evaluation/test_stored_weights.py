"""Stored weights make the errors that were reported, or they are refused."""

from dataclasses import replace

import pytest
import torch
from support.noise import ONE, train

from pipeline.errors import UserError
from pipeline.evaluation import verify
from pipeline.records.result import Result
from pipeline.store.objects import sha256
from pipeline.store.paths import RunFolder
from pipeline.training import checkpoint

pytestmark = pytest.mark.usefixtures("noise")


def test_stored_weights_make_the_errors_that_were_reported(prepared):
    result = train(prepared)
    assert verify.verify(prepared, ONE.id).wrong == result.wrong
    run = RunFolder(ONE.id)
    prepared.write_record(run.result, replace(result, wrong=result.wrong - 1))
    with pytest.raises(ValueError, match=f"{result.wrong} wrong of 40"):
        verify.verify(prepared, ONE.id)
    prepared.write_record(run.result, replace(result, seen=41))
    with pytest.raises(ValueError, match=rf"wrong of 41, but .* {result.wrong} wrong of 40"):
        verify.verify(prepared, ONE.id)


def test_another_machine_may_round_ties_the_other_way_and_nothing_else(prepared):
    """Weights of zero and biases next to 1: any class may win. What was reported is taken for true elsewhere alone."""
    train(prepared)
    run = RunFolder(ONE.id)
    result = prepared.read_record(Result, run.result)

    def verified(weights, wrong, **origin):
        digests = replace(result.digests, model=sha256(weights))
        summary = replace(result.summary, **origin)
        prepared.write(run.weights(1), weights)
        prepared.write_record(run.result, replace(result, digests=digests, summary=summary, wrong=wrong))
        return verify.verify(prepared, ONE.id)

    own = prepared.read(run.weights(1))
    level = checkpoint.weights(verify.load_model(prepared, ONE.id).model.apply(_level))
    assert verified(level, 3, processor="another").wrong == 3
    assert verified(level, 4, device="a GPU").wrong == 4
    with pytest.raises(ValueError, match="reported 3 wrong"):
        verified(level, 3)
    with pytest.raises(ValueError, match="do not trust"):
        verified(own, result.wrong - 1, processor="another")


def _level(module):
    if isinstance(module, torch.nn.Conv2d):
        torch.nn.init.zeros_(module.weight)
        module.bias.data = 1 + 1e-6 * torch.arange(len(module.bias))


def test_weights_that_are_not_the_results_are_refused(prepared):
    train(prepared)
    prepared.write(RunFolder(ONE.id).weights(1), b"something else")
    with pytest.raises(ValueError, match="damaged or replaced"):
        verify.load_model(prepared, ONE.id)


def test_halved_weights_stand_in_for_those_that_were_not_kept(prepared):
    train(prepared)
    run = RunFolder(ONE.id)
    whole = verify.load_model(prepared, ONE.id)
    verify.publish_float16(prepared, ONE.id)
    prepared.delete(run.weights(1))
    half = verify.load_model(prepared, ONE.id)
    assert (whole.rounded, half.rounded) == (False, True)
    for name, weights in half.model.state_dict().items():
        assert torch.equal(weights, whole.model.state_dict()[name].half().float())
    with pytest.raises(ValueError, match=r"rounded weights.*evaluation.json"):
        verify.verify(prepared, ONE.id)


def test_weights_of_earlier_code_are_found_beside_the_result(prepared):
    train(prepared)
    run = RunFolder(ONE.id)
    result, weights = prepared.read_record(Result, run.result), prepared.read(run.weights(1))
    prepared.delete(run.weights(1))
    with pytest.raises(UserError, match=r"attempts/1/model.safetensors is gone"):
        verify.load_model(prepared, ONE.id)
    prepared.write(f"runs/{ONE.id}/model.safetensors", weights)
    older = {name: value for name, value in result.plain().items() if not name.startswith("weights")}
    prepared.write_json(run.result, older)
    assert verify.verify(prepared, ONE.id).wrong == result.wrong


def test_halves_of_other_weights_are_refused(prepared):
    train(prepared)
    run = RunFolder(ONE.id)
    verify.publish_float16(prepared, ONE.id)
    own = prepared.read(run.halved)
    others = verify.load_model(prepared, ONE.id).model.apply(_level)
    prepared.delete(run.halved)
    prepared.write(run.weights(1), checkpoint.weights(others))
    verify.publish_float16(prepared, ONE.id)  # whole in itself, and rounded from other weights than the result names
    wrong = prepared.read(run.halved)
    prepared.delete(run.weights(1))
    for damaged in (wrong, own[:-1] + bytes([own[-1] ^ 1]), b"no safetensors at all"):
        prepared.write(run.halved, damaged)
        with pytest.raises(ValueError, match="damaged or replaced"):
            verify.load_model(prepared, ONE.id)
    prepared.write(run.halved, own)
    assert verify.load_model(prepared, ONE.id).rounded
