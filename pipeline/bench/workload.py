"""The training that is measured: random images, and the fast loop that trains on them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.numerics.fast import loop, precision
from pipeline.numerics.fast.precision import Mode
from pipeline.numerics.fast.trainer import StepBatch, Trainer
from pipeline.numerics.initialization import initialize
from pipeline.numerics.loader import Images, Loader
from pipeline.numerics.model import build
from pipeline.paper.augmentations import Shift
from pipeline.paper.networks import Network
from pipeline.paper.recipes import CIFAR, Recipe


@dataclass(frozen=True)
class Workload:
    """How much is trained for a measurement, on random images of CIFAR's size (3, 32, 32)."""

    batch: int  # images per step
    steps: int  # per repeat
    repeats: int
    images: int = 2048  # in the training set

    @property
    def recipe(self) -> Recipe:
        """The recipe for CIFAR with augmentation, and a learning rate at which random images do not diverge."""
        return replace(CIFAR, lr=1e-4, batch=self.batch, augment=Shift())


def drawn(images: int) -> tuple[Tensor, Tensor]:
    """So many random images (images, 3, 32, 32) float32, and labels (images,) of ten classes."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(images, 3, 32, 32, generator=generator), torch.randint(10, (images,), generator=generator)


class Fast:
    """Endless training by the fast loop, one chunk of steps per call, of several networks side by side.

    `mode` None: the one that training on `device` would choose.
    """

    def __init__(self, networks: list[Network], work: Workload, device: str, mode: Mode | None = None):
        self.mode = mode or precision.choose_mode(networks[0], device)
        precision.set_backend_flags(self.mode)
        loader = Loader(Images(*drawn(work.images)).to(device), work.recipe)
        self.trainers = [_trainer(network, work.recipe, loader, device, self.mode) for network in networks]
        self.stepper = loop.stepper(self.trainers)
        self._chunks = iter(())

    def warm_up(self) -> None:
        """Run one chunk of every kind, which captures it if the mode has CUDA graphs."""
        for chunk in {(chunk.steps, chunk.batch): chunk for chunk in self._epoch()}.values():
            self.stepper.run(chunk)

    def step(self) -> int:
        """Run one chunk of steps; returns the number of images that each network was trained on."""
        chunk = next(self._chunks, None)
        if chunk is None:
            self._chunks = iter(self._epoch())
            chunk = next(self._chunks)
        self.stepper.run(chunk)
        return chunk.steps * chunk.batch

    def _epoch(self) -> list[StepBatch]:
        """Begin an epoch; returns its chunks of full batches."""
        for trainer in self.trainers:
            trainer.begin_epoch()
        return [c for c in self.trainers[0].chunks(self.stepper.most) if c.batch == self.trainers[0].recipe.batch]


def _trainer(network: Network, recipe: Recipe, loader: Loader, device: str, mode: Mode) -> Trainer:
    model = build(network)
    initialize(model, "he", 0)
    return Trainer(model.to(device), network, recipe, loader, loader, 0, mode)
