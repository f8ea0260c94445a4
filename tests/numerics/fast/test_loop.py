"""The fast path against the plain one, and against itself: side by side, recorded, stopped and resumed."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from pipeline.numerics import reference_loop
from pipeline.numerics.fast.execution import CapturedSteps, EagerSteps
from pipeline.numerics.fast.loop import Pause, chunks, epochs, recorded_steps
from pipeline.numerics.fast.precision import Mode
from pipeline.numerics.fast.self_check import (
    FIFTY_STEPS,
    LEAKY,
    POOLED,
    RECIPE,
    small_loader,
    small_model,
    small_trainer,
    weights_of,
    without_seconds,
)
from pipeline.numerics.fast.trainer import StepBatch

# after 50 steps: of every epoch's loss, and of the way that the weights have gone. A bfloat16 has 8 bits, 1 in 256
NEAR = {"float32": (1e-5, 1e-4), "bfloat16": (0.03, 0.1)}


def alone(*trainers):
    return [row for one in trainers for _, row in epochs([one])]


@pytest.mark.parametrize("network", [POOLED, LEAKY], ids=lambda n: n.name)
@pytest.mark.parametrize("precision", NEAR)
def test_fifty_steps_are_those_of_the_plain_loop(network, precision):
    model, of_loss, of_way = small_model(network), *NEAR[precision]
    plain = list(
        reference_loop.epochs(
            model,
            reference_loop.Momentum(model, FIFTY_STEPS),
            FIFTY_STEPS,
            small_loader(FIFTY_STEPS),
            small_loader(FIFTY_STEPS, 20, 1),
            seed=0,
        )
    )
    one = small_trainer(network, FIFTY_STEPS, mode=Mode(precision))
    fast = alone(one)
    assert [row.train_loss for row in fast] == pytest.approx([row.train_loss for row in plain], rel=of_loss)
    begin, end = weights_of(small_model(network)), weights_of(model)
    assert (weights_of(one.model) - end).norm() < of_way * (end - begin).norm()
    assert [(row.epoch, row.lr, row.train_seen, row.test_seen) for row in fast] == [
        (row.epoch, row.lr, row.train_seen, row.test_seen) for row in plain
    ]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_side_by_side_equals_one_after_the_other_bit_for_bit(precision):
    mode = Mode(precision)

    def trainers():
        return [
            small_trainer(mode=mode),
            small_trainer(LEAKY, replace(RECIPE, lr=0.01), 1, mode),
            small_trainer(seed=2, mode=mode),
        ]

    together, apart = trainers(), trainers()
    rows = list(epochs(together))
    for one, other in zip(together, apart, strict=True):
        assert without_seconds(row for of, row in rows if of is one) == without_seconds(alone(other))
        assert torch.equal(weights_of(one.model), weights_of(other.model))


@pytest.mark.parametrize("most", [1, 3, 30])
def test_recorded_steps_equal_steps_made_one_by_one_bit_for_bit(most):
    """Everything but the recording itself: the branches are called where a GPU would replay them."""
    recorded, eager = (
        [small_trainer(mode=Mode("bfloat16")), small_trainer(seed=1, mode=Mode("bfloat16"))],
        small_trainer(mode=Mode("bfloat16")),
    )
    recordings = []

    def record(_lanes, branches):
        recordings.append(branches)
        return lambda: [branch() for branch in branches]

    for trainers, stepper in ((recorded, CapturedSteps(recorded, record, most)), ([eager], EagerSteps([eager]))):
        for _ in range(2):
            for one in trainers:
                one.begin_epoch()
            for chunk in trainers[0].chunks(stepper.most):
                stepper.run(chunk)
            for one in trainers:
                one.end_epoch(*one.totals_so_far(), 70, 0.0)
    assert torch.equal(recorded[0].weights.master_P, eager.weights.master_P)
    assert torch.equal(recorded[0].totals, eager.totals)
    assert len(recordings) == {1: 2, 3: 3, 30: 2}[most]  # 70 images in batches of 16: 4 full ones and one of 6


def test_a_recording_reads_no_more_than_a_quarter_of_a_gibibyte():
    small = small_trainer()
    assert recorded_steps(small) == 30
    small.network = replace(POOLED, side=224)
    small.recipe = replace(RECIPE, batch=64)
    assert recorded_steps(small) == 2  # 64 images of 224 x 224 pixels of 8 float32 numbers are 103 MB
    small.mode = Mode("bfloat16")
    assert recorded_steps(small) == 5


def test_an_epoch_in_chunks():
    one = small_trainer(recipe=replace(RECIPE, batch=4))
    assert one.chunks(10) == [StepBatch(0, 10, 4), StepBatch(40, 7, 4), StepBatch(68, 1, 2)]
    assert [chunk.steps for chunk in one.chunks(1)] == [1] * 18


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stopped_and_resumed_equals_never_stopped_bit_for_bit(precision):
    mode = Mode(precision)
    whole, first, second = small_trainer(mode=mode), small_trainer(mode=mode), small_trainer(mode=mode, seed=0)
    rows, head = alone(whole), next(iter(epochs([first])))[1]
    second.model.load_state_dict(first.model.state_dict())
    for name, velocity in second.weights.velocities.items():
        velocity.copy_(first.weights.velocities[name])
    second.epoch = 1
    assert without_seconds([head, *alone(second)]) == without_seconds(rows)
    assert torch.equal(weights_of(second.model), weights_of(whole.model))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stopped_inside_an_epoch_and_resumed_equals_never_stopped_bit_for_bit(precision):
    mode = Mode(precision)
    whole, first, second = small_trainer(mode=mode), small_trainer(mode=mode), small_trainer(mode=mode)
    rows, events, head = alone(whole), chunks([first]), []
    for _, event in events:
        if not isinstance(event, Pause):
            head.append(event)
        elif head and event.seen > 30:  # in the second epoch, in the middle
            break
    second.model.load_state_dict(first.model.state_dict())
    for name, velocity in second.weights.velocities.items():
        velocity.copy_(first.weights.velocities[name])
    second.epoch, second.part = 1, event.part()
    assert 0 < second.part.seen < 70
    assert without_seconds([*head, *alone(second)]) == without_seconds(rows)
    assert torch.equal(weights_of(second.model), weights_of(whole.model))


def test_a_dead_network_ends_after_ten_epochs_as_the_plain_loop_has_it():
    """Rectified scores below zero for every image: equal scores, ln(classes), no gradient, by hand."""
    recipe = replace(RECIPE, epochs=15, lr_drops=(), weight_decay=0.0)
    one = small_trainer(recipe=recipe)
    last = [module for module in one.model if isinstance(module, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(-1.0)
    twin = copy.deepcopy(one.model)
    rows = alone(one)
    assert (len(rows), one.dead, one.diverged) == (10, True, False)
    assert rows[-1].train_loss == pytest.approx(math.log(one.network.classes), abs=1e-6)
    assert rows[-1].test_seen == 20
    plain = list(reference_loop.epochs(twin, reference_loop.Momentum(twin, recipe), recipe, one.train, one.test, 0))
    assert without_seconds(plain) == without_seconds(rows)


def test_a_network_that_is_flat_but_has_a_gradient_is_not_dead():
    """Equal scores above zero: ln(classes) too, and the biases' gradient is not nothing; the rate moves no weight."""
    recipe = replace(RECIPE, lr=1e-30, epochs=12, lr_drops=(), weight_decay=0.0)
    one = small_trainer(recipe=recipe)
    last = [module for module in one.model if isinstance(module, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(1.0)
    twin = copy.deepcopy(one.model)
    plain = reference_loop.epochs(twin, reference_loop.Momentum(twin, recipe), recipe, one.train, one.test, 0)
    for losses in ([row.train_loss for row in alone(one)], [row.train_loss for row in plain]):
        assert losses == pytest.approx([math.log(one.network.classes)] * 12, abs=1e-6)
    assert (one.flat, one.dead) == (12, False)


def test_a_resumed_run_may_be_trained_beside_a_new_one():
    ahead, behind, witness = small_trainer(), small_trainer(seed=1), small_trainer(seed=1)
    next(iter(epochs([ahead])))
    rows = [(of is ahead, row.epoch) for of, row in epochs([ahead, behind])]
    assert rows == [(True, 1), (False, 0), (True, 2), (False, 1), (False, 2)]
    alone(witness)
    assert torch.equal(weights_of(behind.model), weights_of(witness.model))


def test_divergence_ends_a_run_within_its_epoch_and_no_other():
    wild, calm, witness = small_trainer(recipe=replace(RECIPE, lr=1e30)), small_trainer(), small_trainer()
    rows = list(epochs([wild, calm]))
    assert [row.epoch for of, row in rows if of is wild] == [0]
    assert wild.diverged
    alone(witness)
    assert torch.equal(weights_of(calm.model), weights_of(witness.model))
    [row] = alone(small_trainer(recipe=replace(RECIPE, lr=1e30)))
    assert row.train_seen < 70
    assert row.test_seen == 20


def test_unlike_steps_are_refused():
    with pytest.raises(ValueError, match="same batch"):
        list(epochs([small_trainer(), small_trainer(recipe=replace(RECIPE, batch=8))]))
