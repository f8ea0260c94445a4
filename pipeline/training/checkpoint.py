"""Checkpoints: model and momentum as safetensors, then a JSON note with their digest: with it they are whole."""

import logging
import re
from dataclasses import asdict, dataclass
from typing import Protocol

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from pipeline.numerics.reference_loop import PartialEpoch
from pipeline.records.attempt import CheckpointNote
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import RunFolder

NOTE = r"\d+(-\d+)?\.json"  # a checkpoint's note; others put objects beside it, too
KEEP = 2  # checkpoints of an attempt
log = logging.getLogger(__name__)


class HasVelocities(Protocol):
    """An optimizer with a velocity for every parameter, by the parameter's name."""

    velocities: dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """The state after `epochs_done` epochs and, where it was saved inside one, a `part` of the next."""

    epochs_done: int
    attempt: int  # that wrote it
    tensors: dict[str, Tensor]
    part: PartialEpoch | None = None


def save(
    store: Store,
    run: RunFolder,
    attempt: int,
    epochs_done: int,
    model: nn.Module,
    optimizer: HasVelocities,
    part: PartialEpoch | None = None,
) -> None:
    """Write a checkpoint, its note last, then delete all of this attempt but the newest KEEP."""
    data = save_tensors(_tensors(model, optimizer))
    folder = f"{run.attempt(attempt)}/checkpoint"
    name = f"{epochs_done}-{part.seen}" if part else f"{epochs_done}"
    note = CheckpointNote(
        epochs_done=epochs_done, sha256=sha256(data), bytes=len(data), part=asdict(part) if part else None
    )
    store.write(f"{folder}/{name}.safetensors", data)
    store.write_record(f"{folder}/{name}.json", note)
    names = [name.removesuffix(".json") for name in store.names(folder) if re.fullmatch(NOTE, name)]
    for old in sorted(names, key=_position)[:-KEEP]:
        store.delete(f"{folder}/{old}.json")
        store.delete(f"{folder}/{old}.safetensors")


def newest(store: Store, run: RunFolder) -> Checkpoint | None:
    """The whole checkpoint that is furthest in training, of any attempt; damaged ones are logged and left out."""
    names = [name.split("/") for name in store.names(run.attempts)]
    notes = [
        (_position(parts[2].removesuffix(".json")), int(parts[0]), parts[2].removesuffix(".json"))
        for parts in names
        if len(parts) == 3 and parts[0].isdecimal() and parts[1] == "checkpoint" and re.fullmatch(NOTE, parts[2])
    ]
    for _, attempt, name in sorted(notes, reverse=True):
        if found := _read(store, f"{run.attempt(attempt)}/checkpoint/{name}", attempt):
            return found
    return None


def fits(checkpoint: Checkpoint, model: nn.Module, optimizer: HasVelocities) -> bool:
    """Whether the checkpoint is of this model: the same names and shapes."""
    wanted = {f"model.{name}": tensor.shape for name, tensor in model.state_dict().items()}
    wanted |= {f"momentum.{name}": velocity.shape for name, velocity in optimizer.velocities.items()}
    return wanted == {name: tensor.shape for name, tensor in checkpoint.tensors.items()}


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: HasVelocities) -> None:
    """Copy the saved weights and velocities into the model and the optimizer."""
    weights = {k.removeprefix("model."): v for k, v in checkpoint.tensors.items() if k.startswith("model.")}
    model.load_state_dict(weights)
    for name, velocity in optimizer.velocities.items():
        velocity.copy_(checkpoint.tensors[f"momentum.{name}"])


def weights(model: nn.Module) -> bytes:
    """The model's parameters as safetensors."""
    return save_tensors(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    )


def to_float16(weights: bytes, note: dict[str, str]) -> bytes:
    """Safetensors rounded to float16, with `note` as their metadata."""
    return save_tensors({name: tensor.half() for name, tensor in load_tensors(weights).items()}, metadata=note)


def load_weights(data: bytes, model: nn.Module) -> None:
    """Copy what `weights` wrote into the model; ValueError where it is damaged or of another model."""
    try:
        model.load_state_dict(load_tensors(data))
    except Exception as error:  # damaged tensors raise what their reader happens to raise
        raise ValueError(f"it holds no weights of this network ({type(error).__name__})") from error


def _tensors(model: nn.Module, optimizer: HasVelocities) -> dict[str, Tensor]:
    out = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    out |= {f"momentum.{name}": velocity for name, velocity in optimizer.velocities.items()}
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in out.items()}


def _position(name: str) -> tuple[int, int]:
    """The epochs done and the images of the next epoch, from a checkpoint's name: `3` or `3-128`."""
    epochs_done, _, seen = name.partition("-")
    return int(epochs_done), int(seen or 0)


def _read(store: Store, path: str, attempt: int) -> Checkpoint | None:
    try:
        note, data = store.read_record(CheckpointNote, f"{path}.json"), store.read(f"{path}.safetensors")
        if sha256(data) == note.sha256:
            part = PartialEpoch(**note.part) if note.part else None
            return Checkpoint(note.epochs_done, attempt, load_tensors(data), part)
        why = "its digest is not that of its note"
    except (FileNotFoundError, SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        why = repr(error)
    log.warning("checkpoint %s is not whole (%s): an older one is used", store.url_of(path), why)
    return None
