"""How far a study is, read from the store alone."""

import re
from dataclasses import dataclass

from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import cpu_seconds, flops, gpu_seconds, needed
from pipeline.plan.studies import Study
from pipeline.records.attempt import Heartbeat, LeaseRecord
from pipeline.records.result import Result
from pipeline.store import standings
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.store.results import find_result, read_results
from pipeline.store.stamp import Stamp
from pipeline.store.standings import Begun, Standings
from pipeline.training.attempts import attempts
from pipeline.training.owners import LeaseObserver

NOTE = r"\d+/checkpoint/(?P<epochs>\d+)(-(?P<images>\d+))?\.json"  # of a checkpoint, below the attempts of its run
FEW = 8  # runs that are looked at one by one
CLOSE = 15  # runs that were begun, of very many: of so few the own objects are read, though a listing shows them
FEW_ENOUGH = 64  # the same, of at most WHOLE
WHOLE = 1000  # runs of a study whose results are read: more are believed what their keys say
UNTOLD = ("crashed", "damaged")  # outcomes whose reason no key tells
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
    """Reads the states of a study's runs again and again; results are read once.

    Of a few runs each is looked at; of more, a listing is (store/standings.py), and beside it what is of interest in
    few: the results where there are at most WHOLE runs, and what attempts tell where few are begun.
    """

    def __init__(self, store: Store, experiments: list[Experiment]):
        self.store, self.experiments = store, experiments
        self._observer = LeaseObserver(store)
        self._with_result: dict[str, RunStatus] = {}
        self._seen: dict[str, tuple[Stamp, RunStatus]] = {}  # by the key of the attempt
        self._owners: dict[str, LeaseRecord] = {}  # by the path of the lease
        self._looked = False  # whether runs were looked for that the listing does not show
        self._close = FEW_ENOUGH if len(experiments) <= WHOLE else CLOSE

    def statuses(self) -> list[RunStatus]:
        """The state of every run now, in the study's order."""
        todo = [e for e in self.experiments if e.id not in self._with_result]
        few = len(self.experiments) <= FEW
        found = {e.id: self._status(e) for e in todo} if few else self._from_listing(todo)
        return [self._with_result.get(e.id) or found[e.id] for e in self.experiments]

    def _from_listing(self, todo: list[Experiment]) -> dict[str, RunStatus]:
        first, self._looked = not self._looked, True
        there = self.store.folders("runs") if first else set()
        listed = standings.read(self.store)
        self._take_results(todo, listed)
        todo = [e for e in todo if e.id not in self._with_result]
        if not listed.whole:  # earlier code wrote no keys
            there = there or self.store.folders("runs")
            return {e.id: self._status(e) if e.id in there else RunStatus(e, "missing") for e in todo}
        close = sum(e.id in listed.begun for e in todo) <= self._close
        unlisted = there - set(listed.begun) - set(listed.ended)  # such as runs copied from another store
        return {e.id: self._status(e) if e.id in unlisted else self._as_listed(e, listed, close) for e in todo}

    def _take_results(self, todo: list[Experiment], listed: Standings) -> None:
        """Those that the listing shows: whole, or as their keys say; of a crashed run, as few as there are, why."""
        ended = [e for e in todo if e.id in listed.ended]
        if len(self.experiments) <= WHOLE:
            results: dict[str, Result] = read_results(self.store, [e.id for e in ended])
        else:
            results = {e.id: result for e in ended if (result := listed.result(e.id))}
            untold = [e.id for e in ended if e.id not in results or results[e.id].outcome in UNTOLD]
            results |= read_results(self.store, untold[:CLOSE])
        for e in ended:
            if result := results.get(e.id):
                self._keep(e, result)

    def _keep(self, this: Experiment, result: Result) -> RunStatus:
        status = RunStatus(this, result.outcome, result.attempt, result.epochs, result=result)
        self._with_result[this.id] = status
        return status

    def _as_listed(self, this: Experiment, listed: Standings, close: bool) -> RunStatus:
        """What keys tell of a run without a result and, if `close`, what lies in its folder."""
        last = listed.live.get(this.id) or listed.left.get(this.id)
        if last is None:
            return RunStatus(this, "missing")
        if last.is_live and self._observer.is_listed_alive(last):
            at_work = RunStatus(this, "running", last.attempt, last.epochs)
            return self._close_by(this, last) if close else at_work
        if close:  # its owner may have died between its result and the key that tells of it
            result = find_result(self.store, this.id)
            return self._keep(this, result) if result else self._stopped(this, last.attempt)
        return RunStatus(this, "stopped" if last.epochs else "missing", last.attempt, last.epochs)

    def _close_by(self, this: Experiment, live: Begun) -> RunStatus:
        """The state of a run at work, read anew when the listing shows a new heartbeat."""
        before = self._seen.get(live.path)
        if before is None or before[0] != live.stamp:
            before = self._seen[live.path] = (live.stamp, self._at_work(this, live.attempt))
        return before[1]

    def _status(self, experiment: Experiment) -> RunStatus:
        """By a look at the run's own objects."""
        run = RunFolder(experiment.id)
        result = find_result(self.store, experiment.id)
        if result is not None:
            return self._keep(experiment, result)
        found = attempts(self.store, run)
        if not found.open or not self._observer.alive(run, found.last):
            return self._stopped(experiment, found.last)
        return self._at_work(experiment, found.last)

    def _stopped(self, this: Experiment, attempt: int) -> RunStatus:
        """The state of a run that no process trains."""
        if not attempt or (saved := _saved(self.store, RunFolder(this.id))) is None:
            return RunStatus(this, "missing", attempt)
        return RunStatus(this, "stopped", attempt, saved[0], images=saved[1])

    def _at_work(self, this: Experiment, attempt: int) -> RunStatus:
        """The state of a run that is being trained, as its lease and its heartbeat tell."""
        run = RunFolder(this.id)
        owner = self._owners.get(run.lease(attempt)) or self.store.find_record(LeaseRecord, run.lease(attempt))
        where = None
        if owner:
            self._owners[run.lease(attempt)] = owner
            where = f"{owner.host.split()[0]} pid {owner.pid}"
        beat = self.store.find_record(Heartbeat, run.heartbeat(attempt))
        if beat is None:
            return RunStatus(this, "running", attempt, where=where)
        within = (beat.images or 0, beat.images_per_second)
        return RunStatus(this, "running", attempt, beat.epoch or 0, beat.epoch_seconds, *within, where)


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
