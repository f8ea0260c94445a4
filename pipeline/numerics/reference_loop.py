"""The training loop, plain: it yields a row after each epoch, and its caller decides what to keep."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.numerics.dropout import begin_batch, dropouts, epoch_keys
from pipeline.numerics.evaluate import count_wrong
from pipeline.numerics.loader import Loader
from pipeline.paper.recipes import Recipe

DEAD_EPOCHS = 10  # in a row without a gradient, after which a run ends
DEAD_LOSS = 1e-5  # how near ln(classes) the loss of such an epoch is, in nats
SHORT = 50  # epochs of a recipe whose every epoch is evaluated


@dataclass(frozen=True)
class Epoch:
    """One epoch as it went; counted from 0."""

    epoch: int
    lr: float
    train_loss: float  # mean over images, dropout on
    train_wrong: int
    train_seen: int
    test_wrong: int | None  # None: not evaluated after this one
    test_seen: int | None
    seconds: float  # its share of the time, where several runs are trained together


@dataclass(frozen=True)
class PartialEpoch:
    """What the first steps of an epoch have counted; training goes on behind them with the same numbers."""

    seen: int  # images trained on
    loss: float  # summed over them
    wrong: int
    seconds: float


class Momentum:
    """Stochastic gradient descent with momentum and weight decay on every parameter, biases included, as Caffe had it.

    The same numbers as torch.optim.SGD, whose constructor alone imports the compiler, 8 seconds in every process.
    """

    def __init__(self, model: nn.Module, recipe: Recipe):
        self.parameters = dict(model.named_parameters())
        self.velocities = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.momentum, self.nesterov, self.weight_decay = recipe.momentum, recipe.nesterov, recipe.weight_decay
        self.moved = False  # whether any gradient of the last update was not zero

    @torch.no_grad()
    def update(self, lr: float) -> None:
        """v <- momentum v + (gradient + decay w);  w <- w - lr v;  and the gradients are dropped.

        Nesterov's: w <- w - lr (gradient + decay w + momentum v).
        """
        self.moved = any(p.grad is not None and bool(p.grad.any()) for p in self.parameters.values())
        for name, weight in self.parameters.items():
            assert weight.grad is not None, f"no gradient has reached {name}"
            gradient = weight.grad.add(weight, alpha=self.weight_decay)
            velocity = self.velocities[name].mul_(self.momentum).add_(gradient)
            weight.add_(gradient.add(velocity, alpha=self.momentum) if self.nesterov else velocity, alpha=-lr)
            weight.grad = None


def is_flat(loss: float, classes: int) -> bool:
    """Whether an epoch's mean loss is that of equal scores for every class, ln(classes): nothing was told apart."""
    return abs(loss - math.log(classes)) < DEAD_LOSS


def flat_epochs(losses: Sequence[float], classes: int) -> int:
    """How many of the last epochs were flat without a break, from the mean losses of all epochs so far."""
    count = 0
    while count < len(losses) and is_flat(losses[-1 - count], classes):
        count += 1
    return count


def is_evaluated(recipe: Recipe, epoch: int) -> bool:
    """Whether the test images are counted after this epoch: every one of a short recipe, every tenth of a long one."""
    return recipe.epochs <= SHORT or (epoch + 1) % 10 == 0 or epoch + 1 == recipe.epochs


def epochs(
    model: nn.Module,
    optimizer: Momentum,
    recipe: Recipe,
    train: Loader,
    test: Loader,
    seed: int,
    start: int = 0,
) -> Iterator[Epoch]:
    """Train from epoch `start` to the recipe's end, or until the loss is not finite, which the last row then shows, or
    the network is dead: equal scores in DEAD_EPOCHS epochs in a row, and no gradient.

    fast/loop.py does the same for jobs; this one is for reading, and what that one is held against.
    """
    images = recipe.images_an_epoch(len(train))
    classes = [module for module in model.modules() if isinstance(module, nn.Conv2d)][-1].out_channels
    flat = 0
    for epoch in range(start, recipe.epochs):
        began = time.perf_counter()
        lr = recipe.lr_at(epoch)
        model.train()
        keys_LE = epoch_keys(seed, epoch, len(dropouts(model)), images)
        loss, wrong, seen = 0.0, 0, 0
        for pictures, labels, place_B in train.training_batches(seed, epoch):
            begin_batch(model, keys_LE[:, place_B].to(pictures.device))
            more_loss, more_wrong = step(model, optimizer, lr, pictures, labels).tolist()
            loss, wrong, seen = loss + more_loss, wrong + int(more_wrong), seen + len(labels)
            if not math.isfinite(loss):
                break
        flat = flat + 1 if is_flat(loss / seen, classes) else 0
        dead = flat >= DEAD_EPOCHS and not optimizer.moved
        look = not math.isfinite(loss) or dead or is_evaluated(recipe, epoch)
        test_wrong, test_seen = count_wrong(model, test) if look else (None, None)
        seconds = time.perf_counter() - began
        yield Epoch(epoch, lr, loss / seen, wrong, seen, test_wrong, test_seen, seconds)
        if dead or not math.isfinite(loss):
            return


def step(model: nn.Module, optimizer: Momentum, lr: float, images: Tensor, labels: Tensor) -> Tensor:
    """One update; returns (summed loss, wrong) as float64, left on the device."""
    scores = model(images)
    loss = cross_entropy(scores, labels)
    loss.backward()
    optimizer.update(lr)
    wrong = (scores.argmax(1) != labels).sum()
    return torch.stack([loss.detach().double() * len(labels), wrong.double()])
