"""The training loop: it yields a row after each epoch, and its caller decides what to keep."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.numerics.batches import Feed
from pipeline.numerics.evaluate import count_wrong
from pipeline.numerics.network import begin_epoch
from pipeline.paper.recipes import Recipe


@dataclass(frozen=True)
class Epoch:
    """One epoch as it went; counted from 0."""

    epoch: int
    lr: float
    train_loss: float  # mean over images, dropout on
    train_wrong: int
    train_seen: int
    test_wrong: int
    test_seen: int
    seconds: float


class Momentum:
    """Stochastic gradient descent with momentum and weight decay on every parameter, biases included, as Caffe had it.

    The same numbers as torch.optim.SGD, whose constructor alone imports the compiler, 8 seconds in every process.
    """

    def __init__(self, model: nn.Module, recipe: Recipe):
        self.parameters = dict(model.named_parameters())
        self.velocities = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.momentum, self.nesterov, self.weight_decay = recipe.momentum, recipe.nesterov, recipe.weight_decay

    @torch.no_grad()
    def update(self, lr: float) -> None:
        """v <- momentum v + (gradient + decay w);  w <- w - lr v;  and the gradients are dropped.

        Nesterov's: w <- w - lr (gradient + decay w + momentum v).
        """
        for name, weight in self.parameters.items():
            assert weight.grad is not None, f"no gradient has reached {name}"
            gradient = weight.grad.add(weight, alpha=self.weight_decay)
            velocity = self.velocities[name].mul_(self.momentum).add_(gradient)
            weight.add_(gradient.add(velocity, alpha=self.momentum) if self.nesterov else velocity, alpha=-lr)
            weight.grad = None


def epochs(
    model: nn.Module,
    optimizer: Momentum,
    recipe: Recipe,
    train: Feed,
    test: Feed,
    seed: int,
    start: int = 0,
) -> Iterator[Epoch]:
    """Train from epoch `start` to the recipe's end. A row's `train_loss` is not finite once training has diverged."""
    seen = recipe.images_an_epoch(len(train))
    for epoch in range(start, recipe.epochs):
        began = time.perf_counter()
        lr = recipe.lr_at(epoch)
        model.train()
        begin_epoch(model, seed, epoch)
        totals = [step(model, optimizer, lr, *batch) for batch in train.training(seed, epoch)]
        loss, wrong = torch.stack(totals).sum(0).tolist()
        test_wrong, test_seen = count_wrong(model, test)
        yield Epoch(
            epoch,
            lr,
            loss / seen,
            int(wrong),
            seen,
            test_wrong,
            test_seen,
            time.perf_counter() - began,
        )


def step(model: nn.Module, optimizer: Momentum, lr: float, images: Tensor, labels: Tensor) -> Tensor:
    """One update; returns (summed loss, wrong) as float64, left on the device."""
    scores = model(images)
    loss = cross_entropy(scores, labels)
    loss.backward()
    optimizer.update(lr)
    wrong = (scores.argmax(1) != labels).sum()
    return torch.stack([loss.detach().double() * len(labels), wrong.double()])
