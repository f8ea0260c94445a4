"""Witnesses: torch.optim.SGD, a resumed run against an unbroken one, counts by hand."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.numerics.evaluate import count_ties, count_wrong
from pipeline.numerics.initialization import initialize
from pipeline.numerics.loader import Images, Loader
from pipeline.numerics.model import build
from pipeline.numerics.reference_loop import Momentum, epochs, is_evaluated, step
from pipeline.paper.layers import Conv, Dropout
from pipeline.paper.networks import Network
from pipeline.paper.recipes import Recipe

NET = Network("small", 6, (Dropout(0.2), Conv(3, 8, stride=2), Conv(1, 4)))
RECIPE = Recipe(lr=0.1, epochs=4, lr_drops=(2,), batch=16, weight_decay=0.01, initialization="he")


def data(n=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, 3, 6, 6, generator=generator)
    return Loader(Images(images, torch.randint(4, (n,), generator=generator)), RECIPE)


def fresh(network=NET):
    model = build(network)
    initialize(model, "he", 0)
    return model


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_an_update_is_that_of_torchs_sgd_bit_for_bit():
    plain = replace(NET, layers=NET.layers[1:])  # no dropout
    ours, theirs = fresh(plain), fresh(plain)
    momentum = Momentum(ours, RECIPE)
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for number in range(5):
        images, labels = data(16, number).eval_batch(torch.arange(16))
        step(ours, momentum, 0.1, images, labels)
        sgd.zero_grad()
        cross_entropy(theirs(images), labels).backward()
        sgd.step()
    assert torch.equal(weights(ours), weights(theirs))


def test_stop_and_resume_equals_never_stopped_bit_for_bit():
    whole = fresh()
    rows = list(epochs(whole, Momentum(whole, RECIPE), RECIPE, data(), data(20, 1), seed=3))
    first = fresh()
    optimizer = Momentum(first, RECIPE)
    loop = epochs(first, optimizer, RECIPE, data(), data(20, 1), seed=3)
    head = [next(loop), next(loop)]
    second = build(NET)
    second.load_state_dict(first.state_dict())
    resumed = Momentum(second, RECIPE)
    for name, velocity in optimizer.velocities.items():
        resumed.velocities[name].copy_(velocity)
    tail = list(epochs(second, resumed, RECIPE, data(), data(20, 1), seed=3, start=2))
    assert torch.equal(weights(second), weights(whole))
    assert [replace(row, seconds=0) for row in head + tail] == [replace(row, seconds=0) for row in rows]


def test_rows_count_every_image_and_follow_the_schedule():
    model = fresh()
    rows = list(epochs(model, Momentum(model, RECIPE), RECIPE, data(), data(20, 1), seed=0))
    assert [row.epoch for row in rows] == [0, 1, 2, 3]
    assert [row.lr for row in rows] == pytest.approx([0.1, 0.1, 0.01, 0.01])
    assert {(row.train_seen, row.test_seen) for row in rows} == {(50, 20)}
    assert (rows[-1].test_wrong, 20) == count_wrong(model, data(20, 1))


def test_the_loss_is_the_mean_over_images_not_over_batches():
    still = replace(RECIPE, lr=1e-30, epochs=1, lr_drops=())
    model = fresh(replace(NET, layers=NET.layers[1:]))
    [row] = epochs(model, Momentum(model, still), still, data(), data(), seed=0)
    images, labels = data().eval_batch(torch.arange(50))
    whole = cross_entropy(model(images), labels).item()
    assert row.train_loss == pytest.approx(whole, rel=1e-6)


def test_a_diverged_run_shows_in_its_loss():
    wild = replace(RECIPE, lr=1e30)
    model = fresh()
    losses = [row.train_loss for row in epochs(model, Momentum(model, wild), wild, data(), data(), seed=0)]
    assert not torch.tensor(losses).isfinite().all()


def test_an_epoch_sees_every_image_once_in_an_order_of_its_own():
    numbered = Loader(Images(torch.zeros(50, 1, 1, 1), torch.arange(50)), RECIPE)
    orders = [torch.cat([labels for _, labels, _ in numbered.training_batches(0, epoch)]) for epoch in (0, 1, 0)]
    assert sorted(orders[0].tolist()) == list(range(50))
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[1])
    assert [len(labels) for _, labels, _ in numbered.training_batches(0, 0)] == [16, 16, 16, 2]
    assert torch.equal(torch.cat([labels for _, labels in numbered.evaluation_batches(16)]), torch.arange(50))


def test_counting_by_hand_and_the_mode_comes_back():
    scores = torch.tensor([[2.0, 1], [0, 3], [5, 4], [1, 0]])
    model = torch.nn.Flatten().train()
    images = Images(scores.reshape(4, 2, 1, 1), torch.tensor([0, 0, 0, 1]))
    assert count_wrong(model, Loader(images, RECIPE)) == (2, 4)
    assert model.training


def test_ties_are_scores_that_rounding_may_turn_around():
    scores = torch.tensor([[2.0, 2], [1000, 999.95], [1, 0.999], [0, 0], [-1, -1.00001]])  # level ones are no ties
    images = Images(scores.reshape(5, 2, 1, 1), torch.zeros(5, dtype=torch.int64))
    assert count_ties(torch.nn.Flatten(), Loader(images, RECIPE)) == 2


def test_long_recipes_are_evaluated_after_every_tenth_epoch_and_the_last():
    after = {
        n: [epoch + 1 for epoch in range(n) if is_evaluated(replace(RECIPE, epochs=n), epoch)] for n in (50, 51, 60)
    }
    assert after == {50: list(range(1, 51)), 51: [10, 20, 30, 40, 50, 51], 60: [10, 20, 30, 40, 50, 60]}
