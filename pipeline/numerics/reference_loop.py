"""The training loop in plain PyTorch, written to be read.

Runs are trained by the faster loop in fast/loop.py; tests compare its numbers with those of this one.
"""

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

DEAD_EPOCHS = 10  # consecutive flat epochs (`is_flat`) after which a run without a gradient ends as dead
DEAD_LOSS = 1e-5  # nats; a flat epoch's mean loss differs from ln(classes) by less
SHORT = 50  # recipes of up to so many epochs are evaluated after every epoch


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch of training."""

    epoch: int  # counted from 0
    lr: float
    train_loss: float  # mean over images, in nats, with dropout
    train_wrong: int  # misclassified training images, with dropout
    train_seen: int  # images trained on
    test_wrong: int | None  # misclassified test images; None: not evaluated after this epoch
    test_seen: int | None  # test images
    seconds: float  # wall-clock time; of training, this run's share where several runs are trained together


@dataclass(frozen=True)
class PartialEpoch:
    """The counts of the first steps of an epoch, from which training resumes inside the epoch."""

    seen: int  # images trained on so far
    loss: float  # summed over these images
    wrong: int  # of these images, misclassified
    seconds: float  # wall-clock time


class Momentum:
    """Stochastic gradient descent with momentum and weight decay on all parameters, biases included, as in Caffe.

    It gives the same weights as torch.optim.SGD, which is not used because its constructor imports torch's compiler:
    8 seconds in every process.
    """

    def __init__(self, model: nn.Module, recipe: Recipe):
        self.parameters = dict(model.named_parameters())
        self.velocities = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.momentum, self.nesterov, self.weight_decay = recipe.momentum, recipe.nesterov, recipe.weight_decay
        self.moved = False  # whether the last update had a gradient that was not zero

    @torch.no_grad()
    def update(self, lr: float) -> None:
        """Update all parameters w and their velocities v, and clear the gradients.

        v <- momentum * v + (gradient + weight_decay * w);  w <- w - lr * v.
        With Nesterov momentum: w <- w - lr * (gradient + weight_decay * w + momentum * v).
        """
        self.moved = any(p.grad is not None and bool(p.grad.any()) for p in self.parameters.values())
        for name, weight in self.parameters.items():
            assert weight.grad is not None, f"no gradient has reached {name}"
            gradient = weight.grad.add(weight, alpha=self.weight_decay)
            velocity = self.velocities[name].mul_(self.momentum).add_(gradient)
            weight.add_(gradient.add(velocity, alpha=self.momentum) if self.nesterov else velocity, alpha=-lr)
            weight.grad = None


def is_flat(loss: float, classes: int) -> bool:
    """Whether an epoch's mean loss, in nats, is ln(classes): the network gives every class the same score."""
    return abs(loss - math.log(classes)) < DEAD_LOSS


def flat_epochs(losses: Sequence[float], classes: int) -> int:
    """The number of consecutive flat epochs at the end of `losses`, the mean losses of all epochs so far."""
    count = 0
    while count < len(losses) and is_flat(losses[-1 - count], classes):
        count += 1
    return count


def is_evaluated(recipe: Recipe, epoch: int) -> bool:
    """Whether the test set is evaluated after this epoch, counted from 0.

    Always with recipes of up to SHORT epochs; with longer ones after every tenth epoch and the last.
    """
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
    """Train `model` from epoch `start` to the recipe's last one; yields an `Epoch` after each.

    Training ends early when the loss becomes NaN or infinite, as the last `Epoch` then shows, or when the network is
    dead: DEAD_EPOCHS consecutive flat epochs, and only zeros in the last gradient.
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
    """Update the model once, from images (B, C, H, W) and labels (B,).

    Returns the loss summed over the batch and the number of misclassified images: (2,) float64, on the device.
    """
    scores = model(images)
    loss = cross_entropy(scores, labels)
    loss.backward()
    optimizer.update(lr)
    wrong = (scores.argmax(1) != labels).sum()
    return torch.stack([loss.detach().double() * len(labels), wrong.double()])
