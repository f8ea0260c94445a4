"""The results a study rests on, read from the store all at once, and each beside the experiment it is of."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pipeline.evaluation.intervals import Count, better_than_chance
from pipeline.plan.experiment import Experiment
from pipeline.records.result import Result, Summary
from pipeline.store.objects import AT_ONCE, RunFolder, Store

CHANCE_LEVEL = 0.001


@dataclass(frozen=True)
class Run:
    """An experiment and what came of it so far."""

    experiment: Experiment
    result: Result | None = None

    @property
    def outcome(self) -> str:
        """done, diverged, crashed, or not run."""
        return self.result.outcome if self.result else "not run"

    @property
    def count(self) -> Count | None:
        """Errors of a finished run."""
        return Count(self.result.wrong, self.result.seen) if self.result and self.outcome == "done" else None

    @property
    def at_chance(self) -> bool:
        """Whether a finished run is no better than guessing: one-sided exact binomial test at CHANCE_LEVEL."""
        count, classes = self.count, self.experiment.network.classes
        return count is not None and better_than_chance(count, classes) > CHANCE_LEVEL

    @property
    def facts(self) -> Summary:
        """The result's summary; results without one are of the data and the revision that the plan names."""
        found = self.result.summary if self.result else Summary()
        return replace(
            found,
            raw_sha256=self.experiment.dataset.sha256 if found.raw_sha256 is None else found.raw_sha256,
            revision=self.experiment.revision if found.revision is None else found.revision,
        )


def collect(store: Store, experiments: Iterable[Experiment]) -> dict[str, Result]:
    """The results there are, by run id."""
    ids = [e.id for e in experiments]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda id: store.find_record(Result, RunFolder(id).result), ids)
        return {id: result for id, result in zip(ids, found, strict=True) if result is not None}


def counts(runs: Iterable[Run]) -> dict[int, Count]:
    """The errors of the finished ones among the runs of one cell at one rate, by seed."""
    return {run.experiment.seed: run.count for run in runs if run.count is not None}
