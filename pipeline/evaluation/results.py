"""The results of a study's experiments, read from the store in parallel."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline.evaluation.intervals import Count, better_than_chance
from pipeline.plan.experiment import Experiment
from pipeline.records.result import Result, Summary
from pipeline.store.objects import Store
from pipeline.store.results import read_results

CHANCE_LEVEL = 0.001  # of the test against guessing


@dataclass(frozen=True)
class Run:
    """An experiment and its result, if it has one."""

    experiment: Experiment
    result: Result | None = None

    @property
    def outcome(self) -> str:
        """done, diverged, dead, crashed, damaged, or not run."""
        return self.result.outcome if self.result else "not run"

    @property
    def count(self) -> Count | None:
        """The errors of a run that is done; None for every other outcome."""
        return Count(self.result.wrong, self.result.seen) if self.result and self.outcome == "done" else None

    @property
    def at_chance(self) -> bool:
        """Whether a run that is done is no better than guessing, by a one-sided exact binomial test at CHANCE_LEVEL.

        Too few test images show nothing by that test: there an error below half of that of guessing is better, too.
        """
        count, classes = self.count, self.experiment.network.classes
        if count is None or count.wrong / count.seen < (1 - 1 / classes) / 2:
            return False
        return better_than_chance(count, classes) > CHANCE_LEVEL

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
    return read_results(store, (e.id for e in experiments))


def counts(runs: Iterable[Run]) -> dict[int, Count]:
    """The errors, by seed, of those runs of one cell at one learning rate that are done."""
    return {run.experiment.seed: run.count for run in runs if run.count is not None}
