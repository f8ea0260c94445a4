"""How far a study is, read from the store alone."""

from dataclasses import dataclass

from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import flops, gpu_seconds, needed
from pipeline.plan.studies import Study
from pipeline.records.attempt import Heartbeat, LeaseRecord
from pipeline.records.result import Result
from pipeline.store.objects import RunFolder, Store
from pipeline.training.leases import LeaseObserver, attempts

OUTCOMES = ("done", "diverged", "dead", "crashed")
SECONDS_PER_FLOP = 1 / 30e9  # of one core, until a run of this study has told better


@dataclass(frozen=True)
class RunStatus:
    """Where one run stands."""

    experiment: Experiment
    state: str  # missing, stopped (an attempt ended and left a checkpoint), running, or an outcome
    attempt: int = 0
    epoch: int = 0  # epochs done; of a stopped run, those that its furthest checkpoint holds
    epoch_seconds: float | None = None
    where: str | None = None  # who is at work on it
    result: Result | None = None

    @property
    def has_outcome(self) -> bool:
        return self.state in OUTCOMES

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
            "where": self.where,
            "wrong": measured and measured.wrong,
            "seen": measured and measured.seen,
            "seconds": measured and measured.seconds,
            "why": list(result.why) if result else None,
            "flops": flops(self.experiment),
            "gpu_seconds": round(gpu_seconds(self.experiment), 1),
        }


class Progress:
    """An observer of a study's runs; what is settled is read once."""

    def __init__(self, store: Store, experiments: list[Experiment]):
        self.store, self.experiments = store, experiments
        self._watch = LeaseObserver(store)
        self._settled: dict[str, RunStatus] = {}

    def statuses(self) -> list[RunStatus]:
        """Every run as it stands now, in the study's order."""
        return [self._settled.get(e.id) or self._look(e) for e in self.experiments]

    def _look(self, experiment: Experiment) -> RunStatus:
        run = RunFolder(experiment.id)
        result = self.store.find_record(Result, run.result)
        if result is not None:
            standing = RunStatus(experiment, result.outcome, result.attempt, result.epochs, result=result)
            self._settled[experiment.id] = standing
            return standing
        found = attempts(self.store, run)
        if not found.open or not self._watch.alive(run, found.last):
            saved = _saved_epochs(self.store, run) if found.numbers else None
            return RunStatus(experiment, "missing" if saved is None else "stopped", found.last, saved or 0)
        owner = self.store.find_record(LeaseRecord, run.lease(found.last))
        beat = self.store.find_record(Heartbeat, run.heartbeat(found.last))
        where = f"{owner.host.split()[0]} pid {owner.pid}" if owner else None
        epoch, seconds = (beat.epoch or 0, beat.epoch_seconds) if beat else (0, None)
        return RunStatus(experiment, "running", found.last, epoch, seconds, where)


def _saved_epochs(store: Store, run: RunFolder) -> int | None:
    """The whole epochs in the furthest checkpoint of any attempt, from its name; None where there is none."""
    names = [name.split("/") for name in store.names(run.attempts) if name.endswith(".json")]
    notes = [parts[2].removesuffix(".json") for parts in names if len(parts) == 3 and parts[1] == "checkpoint"]
    return max((int(name.partition("-")[0]) for name in notes), default=None)


def results(standings: list[RunStatus]) -> dict[str, Result]:
    """What has come out, by the run's id."""
    return {s.experiment.id: s.result for s in standings if s.result is not None}


def trainable(study: Study, standings: list[RunStatus]) -> list[RunStatus]:
    """Where the runs stand that can be trained now, or are being trained, the worthiest first."""
    by_id = {s.experiment.id: s for s in standings}
    return [by_id[e.id] for e in needed(study, results(standings))]


def seconds_left(standings: list[RunStatus], workers: int) -> float:
    """Training time that the unsettled runs still need on `workers` processes, from how long the others took."""
    rate = _seconds_per_flop(standings)
    left = [
        flops(s.experiment) * rate * (1 - s.epoch / s.experiment.recipe.epochs) for s in standings if not s.has_outcome
    ]
    return max([sum(left) / workers, *left]) if left else 0.0


def _seconds_per_flop(standings: list[RunStatus]) -> float:
    took = [(s.result.seconds, flops(s.experiment)) for s in standings if s.state == "done" and s.result]
    took += [(s.epoch_seconds * s.experiment.recipe.epochs, flops(s.experiment)) for s in standings if s.epoch_seconds]
    return sum(seconds for seconds, _ in took) / sum(work for _, work in took) if took else SECONDS_PER_FLOP
