"""Runs, start to finish, in one process: the same call on a laptop and on a Ray worker."""

import logging
import math
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import torch
from torch import nn

from pipeline.numerics import train
from pipeline.numerics.conformance import conform
from pipeline.numerics.evaluate import count_wrong
from pipeline.numerics.initialise import SAMPLE, initialise
from pipeline.numerics.network import build, count_parameters
from pipeline.plan.experiment import Experiment, experiment
from pipeline.runs import checkpoint, datasets, history
from pipeline.runs.claims import Claim, Lost
from pipeline.runs.held import is_verified, proof_of
from pipeline.runs.provenance import provenance
from pipeline.runs.store import RunFolder, Store, sha256
from pipeline.runs.summary import summary

log = logging.getLogger(__name__)
CHECKPOINT_SECONDS = 10.0  # an epoch that ends this long after the last checkpoint writes one


@dataclass(frozen=True)
class Result:
    """How a run came out. Errors are counts; percent is for tables."""

    experiment_id: str
    outcome: str  # done or diverged; claims.py records crashed
    attempt: int
    epochs: int  # that were trained
    wrong: int
    seen: int
    train_loss: float | None  # of the last epoch
    parameters: int
    seconds: float  # of all epochs, those before a resume included
    digests: dict[str, str]  # of what the result rests on
    summary: dict  # what tables read of it (summary.py)


def run(held: list[Claim], store: Store, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> list[Result]:
    """Train every claimed experiment to its outcome and record it; all claims are alive meanwhile."""
    torch.set_num_threads(1)  # one process per core; more threads beside a busy core cost time
    with ExitStack() as alive:
        for claim in held:
            alive.enter_context(claim)
        return [_train(claim, store, checkpoint_seconds) for claim in held]


def _train(claim: Claim, store: Store, checkpoint_seconds: float) -> Result:
    claim.begun = True
    this, folder, device = claim.experiment, claim.run, _device()
    data = datasets.load(store, this.dataset, this.recipe.preprocess)
    store.create_json(folder.experiment, this.plain())
    store.write_json(folder.provenance(claim.attempt), provenance(device, data.manifest_sha256))
    train_feed, test_feed = data.feeds(this.recipe, device)
    model = build(this.network)
    conform(model, this.network)
    sample, _ = train_feed.seen(torch.arange(min(SAMPLE, len(train_feed))))
    initialise(model, this.recipe.initialise, this.seed, sample.cpu())
    model.to(device)
    optimizer = train.Momentum(model, this.recipe)
    rows = _resume(store, folder, model, optimizer)
    saved_at = time.monotonic()
    for row in train.epochs(model, optimizer, this.recipe, train_feed, test_feed, this.seed, len(rows)):
        rows.append(row)
        claim.progress(len(rows), row.seconds)
        last = len(rows) == this.recipe.epochs
        if diverged := not math.isfinite(row.train_loss):
            break
        if last or time.monotonic() - saved_at >= checkpoint_seconds:
            claim.check()
            history.write(store, folder, claim.attempt, rows)
            checkpoint.save(store, folder, claim.attempt, len(rows), model, optimizer)
            saved_at = time.monotonic()
    else:
        diverged = False
    return _finish(claim, store, model, rows, "diverged" if diverged else "done", data.manifest_sha256)


def _resume(store: Store, folder: RunFolder, model: nn.Module, optimizer: train.Momentum) -> list[train.Epoch]:
    """Go back to the newest whole checkpoint; returns the epochs that lie behind it."""
    found = checkpoint.newest(store, folder)
    if found is None:
        return []
    rows = history.find(store, folder, found.attempt)[: found.epochs_done]
    if len(rows) < found.epochs_done:
        log.warning("the history of attempt %s on %s is not whole; the run starts anew", found.attempt, folder.id)
        return []
    checkpoint.restore(found, model, optimizer)
    return rows


def _finish(
    claim: Claim, store: Store, model: nn.Module, rows: list[train.Epoch], outcome: str, dataset: str
) -> Result:
    """Weights, then the result, last and once: whoever reads it finds everything it names."""
    last = rows[-1]
    curve = history.write(store, claim.run, claim.attempt, rows)
    weights = checkpoint.weights(model)
    claim.check()
    store.write(claim.run.model, weights)
    result = Result(
        experiment_id=claim.experiment.id,
        outcome=outcome,
        attempt=claim.attempt,
        epochs=len(rows),
        wrong=last.test_wrong,
        seen=last.test_seen,
        train_loss=last.train_loss if math.isfinite(last.train_loss) else None,
        parameters=count_parameters(model),
        seconds=round(sum(row.seconds for row in rows), 3),
        digests={"model": sha256(weights), "history": sha256(curve), "dataset": dataset},
        summary=summary(store, claim.experiment, claim.attempt, rows),
    )
    if not store.create_json(claim.run.result, asdict(result)):
        raise Lost(f"{claim.run.id} has a result of another attempt than {claim.attempt}")
    claim.finished = True
    return result


def load_model(store: Store, id: str) -> tuple[Experiment, nn.Module, dict]:
    """A finished run's experiment, model and result; ValueError when the weights are not those of the result."""
    folder = RunFolder(id)
    result, weights = store.read_json(folder.result), store.read(folder.model)
    if sha256(weights) != result["digests"]["model"]:
        raise ValueError(
            f"{store.where(folder.model)} is not what the result of {id} names: it was damaged or replaced. "
            f"Delete {store.where(folder.top)} and train the run again."
        )
    this = experiment(store.read_json(folder.experiment))
    model = build(this.network)
    checkpoint.load_weights(weights, model)
    return this, model.eval(), result


def verify(store: Store, id: str) -> dict:
    """Evaluate a finished run's stored weights again; ValueError unless the counts are those the run reported.

    What was verified is kept in evaluation.json with the digests it holds for, and not done twice.
    """
    folder = RunFolder(id)
    if is_verified(store, folder):
        return store.read_json(folder.result)
    torch.set_num_threads(1)
    this, model, result = load_model(store, id)
    data = datasets.load(store, this.dataset, this.recipe.preprocess)
    _, test_feed = data.feeds(this.recipe, _device())
    wrong, seen = count_wrong(model.to(_device()), test_feed)
    if (wrong, seen) != (result["wrong"], result["seen"]):
        raise ValueError(
            f"run {id} reported {result['wrong']} wrong of {result['seen']}, "
            f"but its stored weights get {wrong} wrong of {seen}: do not trust this run"
        )
    store.write_json(folder.evaluation, proof_of(result))
    return result


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
