"""How far a study is, read from the store alone."""

import re
from dataclasses import dataclass

from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import cpu_seconds, flops, gpu_seconds, needed
from pipeline.plan.studies import Study
from pipeline.records.attempt import Heartbeat, LeaseRecord
from pipeline.records.result import Result
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.store.results import find_result
from pipeline.training.attempts import attempts
from pipeline.training.owners import LeaseObserver

NOTE = r"\d+/checkpoint/(?P<epochs>\d+)(-(?P<images>\d+))?\.json"  # of a checkpoint, below the attempts of its run
OUTCOMES = ("done", "diverged", "dead", "crashed", "damaged")


@dataclass(frozen=True)
class RunStatus:
    """The state of one run, as the store shows it."""

    experiment: Experiment
    state: str  # missing, stopped (an attempt ended and left a checkpoint), running, or an outcome
    attempt: int = 0
    epoch: int = 0  # epochs done; of a stopped run, those that its furthest checkpoint holds
    epoch_seconds: float | None = None
    images: int = 0  # of the next epoch that lie behind
    images_per_second: float | None = None
    where: str | None = None  # host and process that train it
    result: Result | None = None

    @property
    def has_outcome(self) -> bool:
        return self.state in OUTCOMES

    @property
    def epoch_images(self) -> int:
        """Images of an epoch."""
        return self.experiment.recipe.images_an_epoch(self.experiment.dataset.train)

    @property
    def share_done(self) -> float:
        """Of the whole training, 0 to 1."""
        return (self.epoch + self.images / self.epoch_images) / self.experiment.recipe.epochs

    @property
    def error_percent(self) -> float | None:
        """The test error of a run that is done."""
        return self.result.error_percent if self.result else None

    def plain(self) -> dict:
        """As `--json` prints it."""
        result = self.result
        measured = result if result and result.is_measured else None
        return {
            "id": self.experiment.id,
            "network": self.experiment.network.name,
            "dataset": self.experiment.dataset.name,
            "lr": self.experiment.recipe.lr,
            "seed": self.experiment.seed,
            "state": self.state,
            "attempt": self.attempt,
            "epoch": self.epoch,
            "epochs": self.experiment.recipe.epochs,
            "images": self.images,
            "epoch_images": self.epoch_images,
            "images_per_second": self.images_per_second,
            "where": self.where,
            "wrong": measured and measured.wrong,
            "seen": measured and measured.seen,
            "seconds": measured and measured.seconds,
            "why": list(result.why) if result else None,
            "flops": flops(self.experiment),
            "gpu_seconds": round(gpu_seconds(self.experiment), 1),
        }


class Progress:
    """Reads the states of a study's runs again and again; results are read once."""

    def __init__(self, store: Store, experiments: list[Experiment]):
        self.store, self.experiments = store, experiments
        self._observer = LeaseObserver(store)
        self._with_result: dict[str, RunStatus] = {}

    def statuses(self) -> list[RunStatus]:
        """The state of every run now, in the study's order."""
        return [self._with_result.get(e.id) or self._status(e) for e in self.experiments]

    def _status(self, experiment: Experiment) -> RunStatus:
        run = RunFolder(experiment.id)
        result = find_result(self.store, experiment.id)
        if result is not None:
            status = RunStatus(experiment, result.outcome, result.attempt, result.epochs, result=result)
            self._with_result[experiment.id] = status
            return status
        found = attempts(self.store, run)
        if not found.open or not self._observer.alive(run, found.last):
            if not found.numbers or (saved := _saved(self.store, run)) is None:
                return RunStatus(experiment, "missing", found.last)
            return RunStatus(experiment, "stopped", found.last, saved[0], images=saved[1])
        owner = self.store.find_record(LeaseRecord, run.lease(found.last))
        beat = self.store.find_record(Heartbeat, run.heartbeat(found.last))
        where = f"{owner.host.split()[0]} pid {owner.pid}" if owner else None
        if beat is None:
            return RunStatus(experiment, "running", found.last, where=where)
        within = (beat.images or 0, beat.images_per_second)
        return RunStatus(experiment, "running", found.last, beat.epoch or 0, beat.epoch_seconds, *within, where)


def _saved(store: Store, run: RunFolder) -> tuple[int, int] | None:
    """The whole epochs in the furthest checkpoint of any attempt, and images of the next, from its name; None where
    there is none."""
    found = (re.fullmatch(NOTE, name) for name in store.names(run.attempts))
    return max(((int(note["epochs"]), int(note["images"] or 0)) for note in found if note), default=None)


def results(statuses: list[RunStatus]) -> dict[str, Result]:
    """The results there are, by run id."""
    return {s.experiment.id: s.result for s in statuses if s.result is not None}


def trainable(study: Study, statuses: list[RunStatus]) -> list[RunStatus]:
    """The states of the runs that can be trained now or are being trained, in the order in which they are needed."""
    by_id = {s.experiment.id: s for s in statuses}
    return [by_id[e.id] for e in needed(study, results(statuses))]


def seconds_left(statuses: list[RunStatus], workers: int) -> float:
    """Seconds that the runs without a result still train on `workers` processes, from how long others took."""
    pace = _pace(statuses)
    left = [cpu_seconds(s.experiment) * pace * (1 - s.share_done) for s in statuses if not s.has_outcome]
    return max([sum(left) / workers, *left]) if left else 0.0


def _pace(statuses: list[RunStatus]) -> float:
    """How many times longer runs of this study took than is expected of them."""
    took = [(s.result.seconds, cpu_seconds(s.experiment)) for s in statuses if s.state == "done" and s.result]
    took += [(seconds, cpu_seconds(s.experiment)) for s in statuses if (seconds := _whole_training(s))]
    return sum(seconds for seconds, _ in took) / sum(expected for _, expected in took) if took else 1.0


def _whole_training(status: RunStatus) -> float | None:
    """Seconds that a run at work would take as a whole, as fast as it is now; None where that is not known yet."""
    rate = status.images_per_second
    an_epoch = status.epoch_images / rate if rate else status.epoch_seconds
    return an_epoch and an_epoch * status.experiment.recipe.epochs
