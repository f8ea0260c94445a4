"""Does it still reproduce? Finished runs trained again by the code and libraries of today, beside the originals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from math import sqrt
from statistics import stdev
from typing import Any

from scipy.stats import norm, t

from pipeline.evaluation.intervals import is_constant
from pipeline.evaluation.table_errors import commit_of, values_of
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import Study
from pipeline.records.replication import Replication
from pipeline.records.result import Result, Summary, error_percent
from pipeline.runtime.commit import code_commit
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import RunFolder
from pipeline.store.replications import kept, names, path_of

LEVEL = 0.95  # of the interval in which two runs that differ by chance alone lie
LEAST_SEEDS = 3  # for their scatter to be the measure


def replica_of(store: Store, runs: Sequence[Experiment]) -> Store:
    """The store to train these runs again in: the same one for the same code and libraries until they are recorded,
    so that what was interrupted goes on."""
    commit = code_commit()
    today = [str(commit.id), str(commit.dirty), *(f"{name} {version(name)}" for name in ("torch", "numpy"))]
    before = [name for run in runs for name in names(store, [run.id])]
    return store.replica(sha256("\n".join([*today, *(e.id for e in runs), *before]).encode())[:12])


@dataclass(frozen=True)
class Noise:
    """How far two runs may lie apart by chance: percentage points, and what that was measured on."""

    points: float
    of: str


def to_replicate(store: Store, study: Study, results: Mapping[str, Result], count: int) -> list[Experiment]:
    """Up to `count` finished runs of the study: those never replicated first, then those whose turn was longest ago."""
    done = [e for e in study.wanted if e.id in results and results[e.id].outcome == "done"]
    last: dict[str, str] = {}
    for id, found in kept(store, [e.id for e in done]):
        last[id] = max(last.get(id, ""), found.at)
    return sorted(done, key=lambda e: last.get(e.id, ""))[:count]


def noise(this: Experiment, experiments: Iterable[Experiment], results: Mapping[str, Result]) -> Noise:
    """How far a run and its replication may lie apart by chance.

    With three seeds or more whose errors differ, the 95 % prediction interval of the difference of two runs, from the
    standard deviation over seeds; else that of two samples of test images at the run's error. Where every image or none
    was wrong, the error is taken as that of one image more or fewer, for chance is never nothing.
    """
    alike = [e for e in experiments if replace(e, seed=this.seed) == this]
    found = [results[e.id].error_percent for e in alike if e.id in results]
    errors = [error for error in found if error is not None]
    if len(errors) >= LEAST_SEEDS and not is_constant(errors):
        factor = t.ppf((1 + LEVEL) / 2, len(errors) - 1)
        return Noise(float(factor * sqrt(2) * stdev(errors)), f"{len(errors)} seeds")
    result = results[this.id]
    p = min(max(result.wrong, 1), result.seen - 1) / result.seen if result.seen > 1 else 0.5
    factor = norm.ppf((1 + LEVEL) / 2)
    return Noise(float(100 * factor * sqrt(2 * p * (1 - p) / result.seen)), f"{result.seen:,} test images")


def compare(original: Result, again: Result, by: Noise) -> Replication:
    """The record of a replication, dated now."""
    points = error_percent(again.wrong, again.seen) - error_percent(original.wrong, original.seen) if again.seen else 0
    apart = f"{again.wrong} wrong instead of {original.wrong} of {original.seen}, {points:+z.2f} percentage points"
    if again.outcome != "done":
        ended = "did not learn" if again.outcome == "dead" else again.outcome
        verdict, why = "drifted", f"it {ended}: {'; '.join(again.why) or 'no reason was given'}"
    elif again.digests.model == original.digests.model:
        verdict, why = "same bits", "its weights are the original's, bit for bit"
    elif again.wrong == original.wrong:
        verdict, why = "same counts", f"other weights, and {again.wrong} wrong of {again.seen} as the original"
    elif abs(points) <= by.points:
        verdict, why = "within noise", f"{apart}; two runs differ by up to {by.points:.2f} by chance ({by.of})"
    else:
        verdict, why = "drifted", f"{apart}; two runs differ by at most {by.points:.2f} by chance ({by.of})"
    return Replication(
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        comparison=verdict,
        why=why,
        outcome=again.outcome,
        original_wrong=original.wrong,
        wrong=again.wrong,
        seen=again.seen,
        original_model=original.digests.model,
        model=again.digests.model,
        noise=round(by.points, 4),
        noise_of=by.of,
        original=original.summary,
        summary=again.summary,
    )


def settle(store: Store, replica: Store, study: Study, results: Mapping[str, Result], this: Experiment) -> Replication:
    """Compare a run that the replica store has trained again with its original, record it, and drop its weights."""
    run = RunFolder(this.id)
    found = compare(results[this.id], replica.read_record(Result, run.result), noise(this, study.experiments, results))
    store.write_record(path_of(this.id, found.at), found)
    for name in replica.names(run.top):
        if name.endswith(".safetensors") or "/checkpoint/" in name:
            replica.delete(f"{run.top}/{name}")
    return found


def replication_rows(study: Study, found: Sequence[tuple[str, Replication]]) -> list[dict[str, Any]]:
    """One row a replication, the newest first."""
    by_id = {e.id: e for e in study.wanted}
    newest = sorted(found, key=lambda pair: (pair[1].at, pair[0]), reverse=True)
    return [_row(by_id[id], one) for id, one in newest if id in by_id]


def _processors(run: Summary) -> str:
    """What every attempt that trained a part of the run trained on."""
    found = [one.processor if one.device == "cpu" else one.device for one in run.origins]
    return ", ".join(dict.fromkeys(name for name in found if name))


def _commits(run: Summary) -> str:
    return " ".join(dict.fromkeys(found for one in run.origins if (found := commit_of(one))))


def _row(this: Experiment, one: Replication) -> dict[str, Any]:
    was, now = one.original, one.summary
    before = error_percent(one.original_wrong, one.seen) if one.seen else None
    error = error_percent(one.wrong, one.seen) if one.outcome == "done" else None
    return {
        "at": one.at[:16].replace("T", " "),
        "network": this.network.name,
        "dataset": this.dataset.name,
        "augmented": this.augmented,
        "lr": this.recipe.lr,
        "seed": this.seed,
        "comparison": one.comparison,
        "because": one.why,
        "original_error": before,
        "error": error,
        "difference": None if error is None or before is None else error - before,
        "noise": one.noise,
        "noise_of": one.noise_of,
        "torch": values_of(now.origins, "torch"),
        "processor": _processors(now),
        "host": ", ".join(dict.fromkeys(one.host.split()[0] for one in now.origins if one.host)),
        "commit": _commits(now),
        "original_torch": values_of(was.origins, "torch"),
        "original_processor": _processors(was),
        "original_commit": _commits(was),
        "model_sha256": one.model,
        "run": this.id,
    }
