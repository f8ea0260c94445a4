"""Checkpoints: model and optimizer as safetensors, then a JSON note with the digest. The newest whole one wins."""

import logging
from dataclasses import dataclass
from typing import Protocol

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from pipeline.store.objects import RunFolder, Store, sha256

KEEP = 2
log = logging.getLogger(__name__)


class Moving(Protocol):
    """What holds a velocity for every parameter, by its name."""

    velocities: dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """The state after `epochs_done` epochs, and the attempt that wrote it."""

    epochs_done: int
    attempt: int
    tensors: dict[str, Tensor]


def save(store: Store, run: RunFolder, attempt: int, epochs_done: int, model: nn.Module, optimizer: Moving) -> None:
    """Write the checkpoint whole, note last, then drop all but the newest of this attempt."""
    data = save_tensors(_tensors(model, optimizer))
    path = f"{run.attempt(attempt)}/checkpoint/{epochs_done}"
    store.write(f"{path}.safetensors", data)
    store.write_json(f"{path}.json", {"epochs_done": epochs_done, "sha256": sha256(data), "bytes": len(data)})
    for old in sorted(_noted(store, run, attempt))[:-KEEP]:
        store.delete(f"{run.attempt(attempt)}/checkpoint/{old}.json")
        store.delete(f"{run.attempt(attempt)}/checkpoint/{old}.safetensors")


def newest(store: Store, run: RunFolder) -> Checkpoint | None:
    """The whole checkpoint with most epochs of any attempt; damaged ones are named in the log and passed over."""
    names = [name.split("/") for name in store.names(run.attempts)]
    noted = [
        (int(parts[2].removesuffix(".json")), int(parts[0]))
        for parts in names
        if len(parts) == 3 and parts[1] == "checkpoint" and parts[2].endswith(".json")
    ]
    for epochs_done, attempt in sorted(noted, reverse=True):
        tensors = _read(store, f"{run.attempt(attempt)}/checkpoint/{epochs_done}")
        if tensors is not None:
            return Checkpoint(epochs_done, attempt, tensors)
    return None


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: Moving) -> None:
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


def halved(weights: bytes, note: dict[str, str]) -> bytes:
    """The same, rounded to float16, with the note in its header."""
    return save_tensors({name: tensor.half() for name, tensor in load_tensors(weights).items()}, metadata=note)


def load_weights(data: bytes, model: nn.Module) -> None:
    model.load_state_dict(load_tensors(data))


def _tensors(model: nn.Module, optimizer: Moving) -> dict[str, Tensor]:
    out = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    out |= {f"momentum.{name}": velocity for name, velocity in optimizer.velocities.items()}
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in out.items()}


def _noted(store: Store, run: RunFolder, attempt: int) -> list[int]:
    names = store.names(f"{run.attempt(attempt)}/checkpoint")
    return [int(name.removesuffix(".json")) for name in names if name.endswith(".json")]


def _read(store: Store, path: str) -> dict[str, Tensor] | None:
    try:
        note, data = store.read_json(f"{path}.json"), store.read(f"{path}.safetensors")
        if sha256(data) == note["sha256"]:
            return load_tensors(data)
        why = "its digest is not the one noted"
    except (FileNotFoundError, SafetensorError, ValueError, KeyError) as error:
        why = repr(error)
    log.warning("checkpoint %s is not whole (%s); an older one is used", store.where(path), why)
    return None
