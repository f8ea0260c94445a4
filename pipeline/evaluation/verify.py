"""The weights of a finished run: read, evaluated again, and rounded to float16 to be committed with the code."""

import json
from dataclasses import dataclass

import torch
from torch import nn

from pipeline.data import prepare
from pipeline.errors import UserError
from pipeline.evaluation.proofs import conditions, is_verified, proof_of
from pipeline.numerics.evaluate import count_ties, count_wrong
from pipeline.numerics.fast.precision import Mode, set_backend_flags
from pipeline.numerics.model import build
from pipeline.plan.experiment import Experiment
from pipeline.records.result import Result
from pipeline.store.catalogue import read_experiment
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import RunFolder
from pipeline.training import checkpoint
from pipeline.training.device import device

FIX = "`strive check STUDY --repair` offers the run for training again."
OF, OWN = "of", "sha256"  # in the float16 file, the digests of the weights it was rounded from and of its own tensors


@dataclass(frozen=True)
class Trained:
    """A finished run with the model it ended with."""

    experiment: Experiment
    model: nn.Module
    result: Result
    rounded: bool  # to float16: the store has no others


def load_model(store: Store, id: str) -> Trained:
    """A finished run's model, from its weights or, where these were not kept, from those rounded to float16.

    UserError where there are none, or they are not those of the result.
    """
    folder = RunFolder(id)
    result = store.read_record(Result, folder.result)
    path = folder.weights_of(result)
    weights = store.find(path)
    if rounded := weights is None:
        if (weights := store.find(folder.halved)) is None:
            raise UserError(f"{store.url_of(path)} is gone: copy it from where {id} was trained, or train it again")
        path = folder.halved
    if (rounded_from(weights) if rounded else sha256(weights)) != result.digests.model:
        raise UserError(f"{store.url_of(path)} is not what the result of {id} names: it was damaged or replaced. {FIX}")
    this = read_experiment(store, id)
    model = build(this.network)
    try:
        checkpoint.load_weights(weights, model)
    except ValueError as error:
        raise UserError(f"{store.url_of(path)} is damaged: {error}. {FIX}") from error
    return Trained(this, model.eval(), result, rounded)


def verify(store: Store, id: str) -> Result:
    """Evaluate a finished run's stored weights again; UserError unless the counts are those the run reported.

    On another machine, or a GPU, the counts may differ by the images whose two best scores are equal up to rounding.
    Returns the result, and writes evaluation.json with the digests it is for and the conditions it holds under, so that
    a run is verified once by each version of torch, kind of processor and revision of the numerics.
    """
    folder = RunFolder(id)
    if is_verified(store, folder):
        return store.read_record(Result, folder.result)
    torch.set_num_threads(1)
    set_backend_flags(Mode())
    trained = load_model(store, id)
    if trained.rounded:
        whole = store.url_of(folder.weights_of(trained.result))
        raise UserError(
            f"{store.url_of(folder.halved)} are rounded weights, and cannot prove what {id} reported: "
            f"copy {whole}, or {store.url_of(folder.evaluation)}, from where it was trained"
        )
    this, result = trained.experiment, trained.result
    data = prepare.load(store, this.dataset, this.recipe.preprocess)
    _, test_feed = data.feeds(this.recipe, device())
    model = trained.model.to(device())
    wrong, seen = count_wrong(model, test_feed)
    apart = abs(wrong - result.wrong)
    ties = count_ties(model, test_feed) if apart and not _same_bits(result) else 0
    if seen != result.seen or apart > ties:
        raise UserError(
            f"run {id} reported {result.wrong} wrong of {result.seen}, but its stored weights get {wrong} wrong "
            f"of {seen}{f', and {ties} images with equal scores are too few' if ties else ''}: do not trust this run"
        )
    store.write_record(folder.evaluation, proof_of(store, result, id))
    return result


def _same_bits(result: Result) -> bool:
    """Whether this process computes the same bits as the training did: with the same torch on the same kind of CPU,
    never on a GPU."""
    made, now = result.summary, conditions()
    same = (made.torch or now.torch, made.processor or now.processor) == (now.torch, now.processor)
    return device() == (made.device or "cpu") == "cpu" and same


def publish_float16(store: Store, id: str) -> None:
    """Write the weights in float16 too: small enough to be committed with the code."""
    folder = RunFolder(id)
    if not store.exists(folder.halved):
        weights = store.read(folder.weights_of(store.read_record(Result, folder.result)))
        tensors = checkpoint.to_float16(weights, {})
        note = {OF: sha256(weights), OWN: sha256(_body(tensors))}
        store.create(folder.halved, checkpoint.to_float16(weights, note))


def rounded_from(halved: bytes) -> str:
    """The digest of the weights that a float16 file was rounded from, by its metadata; empty where it is damaged."""
    try:
        note = json.loads(halved[8 : _end(halved)])["__metadata__"]
        return note[OF] if note[OWN] == sha256(_body(halved)) else ""
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""


def _end(safetensors: bytes) -> int:
    """Where the header of a safetensors file ends: 8 bytes with a length, then as much JSON."""
    return 8 + int.from_bytes(safetensors[:8], "little")


def _body(safetensors: bytes) -> bytes:
    return safetensors[_end(safetensors) :]
