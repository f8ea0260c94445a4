"""Checkpoints: model and optimizer as safetensors, then a JSON note with the digest. The newest whole one wins."""

import logging
from dataclasses import asdict, dataclass
from typing import Protocol

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from pipeline.numerics.reference_loop import PartialEpoch
from pipeline.records.attempt import CheckpointNote
from pipeline.store.objects import RunFolder, Store, sha256

KEEP = 2
log = logging.getLogger(__name__)


class HasVelocities(Protocol):
    """What holds a velocity for every parameter, by its name."""

    velocities: dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """The state after `epochs_done` epochs and, where it was saved inside one, a part of the next; and the attempt that
    wrote it."""

    epochs_done: int
    attempt: int
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
    """Write the checkpoint whole, note last, then drop all but the newest of this attempt."""
    data = save_tensors(_tensors(model, optimizer))
    folder = f"{run.attempt(attempt)}/checkpoint"
    name = f"{epochs_done}-{part.seen}" if part else f"{epochs_done}"
    note = CheckpointNote(
        epochs_done=epochs_done, sha256=sha256(data), bytes=len(data), part=asdict(part) if part else None
    )
    store.write(f"{folder}/{name}.safetensors", data)
    store.write_json(f"{folder}/{name}.json", note.plain())
    names = [name.removesuffix(".json") for name in store.names(folder) if name.endswith(".json")]
    for old in sorted(names, key=_place)[:-KEEP]:
        store.delete(f"{folder}/{old}.json")
        store.delete(f"{folder}/{old}.safetensors")


def newest(store: Store, run: RunFolder) -> Checkpoint | None:
    """The whole checkpoint that is furthest, of any attempt; damaged ones are named in the log and passed over."""
    names = [name.split("/") for name in store.names(run.attempts)]
    noted = [
        (_place(parts[2].removesuffix(".json")), int(parts[0]), parts[2].removesuffix(".json"))
        for parts in names
        if len(parts) == 3 and parts[1] == "checkpoint" and parts[2].endswith(".json")
    ]
    for _, attempt, name in sorted(noted, reverse=True):
        if found := _read(store, f"{run.attempt(attempt)}/checkpoint/{name}", attempt):
            return found
    return None


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: HasVelocities) -> None:
    """Put the saved weights and momenta where they were."""
    weights = {k.removeprefix("model."): v for k, v in checkpoint.tensors.items() if k.startswith("model.")}
    model.load_state_dict(weights)
    for name, velocity in optimizer.velocities.items():
        velocity.copy_(checkpoint.tensors[f"momentum.{name}"])


def weights(model: nn.Module) -> bytes:
    """The model alone, as safetensors."""
    return save_tensors(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    )


def to_float16(weights: bytes, note: dict[str, str]) -> bytes:
    """The same, rounded to float16, with the note in its header."""
    return save_tensors({name: tensor.half() for name, tensor in load_tensors(weights).items()}, metadata=note)


def load_weights(data: bytes, model: nn.Module) -> None:
    model.load_state_dict(load_tensors(data))


def _tensors(model: nn.Module, optimizer: HasVelocities) -> dict[str, Tensor]:
    out = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    out |= {f"momentum.{name}": velocity for name, velocity in optimizer.velocities.items()}
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in out.items()}


def _place(name: str) -> tuple[int, int]:
    """The epochs done, and the images of the next one, that a checkpoint's name tells."""
    epochs_done, _, seen = name.partition("-")
    return int(epochs_done), int(seen or 0)


def _read(store: Store, path: str, attempt: int) -> Checkpoint | None:
    try:
        note, data = store.read_record(CheckpointNote, f"{path}.json"), store.read(f"{path}.safetensors")
        if sha256(data) == note.sha256:
            part = PartialEpoch(**note.part) if note.part else None
            return Checkpoint(note.epochs_done, attempt, load_tensors(data), part)
        why = "its digest is not the one noted"
    except (FileNotFoundError, SafetensorError, ValueError, KeyError, TypeError) as error:
        why = repr(error)
    log.warning("checkpoint %s is not whole (%s); an older one is used", store.url_of(path), why)
    return None
