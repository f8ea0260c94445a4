"""Several runs on one device: those that make the same steps are trained side by side, the others one after another."""

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager

import torch

from pipeline.errors import UserError
from pipeline.plan.experiment import Experiment
from pipeline.records.result import Result
from pipeline.training.device import device, mode_of
from pipeline.training.leases import Lease, LeaseLost, Released

log = logging.getLogger(__name__)
Train = Callable[[Sequence[Lease]], Iterator[Result]]


def train_all(leases: Sequence[Lease], train: Train, side_by_side: bool) -> Iterator[Result]:
    """The result of every lease, by `train`, which trains the runs of a group step by step together.

    A group whose training fails (most often the device's memory is full) is trained again one by one, from its
    checkpoints: only a run that fails alone has failed. Faults of the store, the machine or the data are raised.
    """
    for group in groups(leases) if side_by_side else [[lease] for lease in leases]:
        if len(group) > 1:
            try:
                yield from train(group)
            except (LeaseLost, Released, OSError, UserError, ImportError):
                raise
            except Exception as error:  # whatever it is, a run by itself may not meet it; if it does, it is raised
                log.warning("training %s experiments side by side failed, now one by one: %s", len(group), error)
        # outside `except`, where the error would keep alive what filled the memory
        for lease in group:
            if not lease.finished:
                with lease.blame_run(), _full_memory_named(lease):
                    yield from train([lease])


@contextmanager
def _full_memory_named(lease: Lease) -> Iterator[None]:
    """A run that does not fit into memory by itself is refused: the machine is too small, or others use it."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise UserError(
            f"the memory of {device()} is too small, or in use, for {lease.experiment.id}: "
            "free some, train with fewer --workers, or on another machine"
        ) from error


def groups(leases: Sequence[Lease]) -> list[list[Lease]]:
    """The leases on experiments that make the same steps, in order."""
    found: dict[Hashable, list[Lease]] = {}
    for lease in leases:
        found.setdefault(_steps(lease.experiment), []).append(lease)
    return list(found.values())


def _steps(this: Experiment) -> Hashable:
    """What must be equal for two experiments to share their steps: data, batch, images per epoch, number format."""
    images = this.recipe.images_an_epoch(this.dataset.train)
    return this.dataset, this.recipe.preprocess, this.recipe.batch, images, mode_of(this)
