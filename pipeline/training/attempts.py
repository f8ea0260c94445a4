"""The attempts on a run: which there were, how they ended, and what becomes of a run that failed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.errors import UserError
from pipeline.plan.experiment import Experiment
from pipeline.records.attempt import AttemptEnd
from pipeline.records.result import Result, Retry, Summary
from pipeline.store import standings
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.training.attempt_time import device_seconds

MAX_FAILURES = 3  # attempts that failed, after which a run has crashed
# what is the fault of the store, the machine, the data or an installation, never of a run
NOT_THE_RUNS_FAULT = (OSError, UserError, MemoryError, ImportError)
FAILURE_KINDS = ("died", "failed")  # ends that are the run's own fault: it ended its process, or raised an error


@dataclass(frozen=True)
class Attempts:
    """The attempts on one run, as far as the store knows them."""

    numbers: tuple[int, ...]  # ascending
    ended: tuple[int, ...]  # those that were ended without a result

    @property
    def last(self) -> int:
        """The number of the last attempt; 0 when there is none."""
        return self.numbers[-1] if self.numbers else 0

    @property
    def open(self) -> bool:
        """Whether a process may still train the run."""
        return bool(self.numbers) and self.last not in self.ended


def attempts(store: Store, run: RunFolder) -> Attempts:
    """The attempts on a run."""
    names = [name.split(".") for name in store.names(run.leases)]
    ours = [parts for parts in names if parts[0].isdecimal()]  # others put objects there, too
    numbers = sorted(int(parts[0]) for parts in ours if parts[1:] == ["json"])
    return Attempts(tuple(numbers), tuple(int(parts[0]) for parts in ours if parts[1:] == ["end", "json"]))


def end_attempt(store: Store, run: RunFolder, attempt: int, how: str, why: str) -> None:
    """Record that an attempt is over without a result: released, died, failed or settled. The first record stands."""
    store.create_json(run.attempt_end(attempt), AttemptEnd(how=how, why=why, at=now()).plain())


def failures(store: Store, run: RunFolder, found: Attempts) -> list[str]:
    """The reasons of attempts since the last `strive retry` that ended by the run's own fault."""
    retried = store.find_record(Retry, run.retry)
    after = retried.after if retried else 0
    ends = [store.read_record(AttemptEnd, run.attempt_end(n)) for n in found.ended if n > after]
    return [end.why for end in ends if end.how in FAILURE_KINDS]


def failure_reason(store: Store, run: RunFolder) -> str:
    """Why the last attempt on a run ended without a result, for an error message."""
    end = store.find_record(AttemptEnd, run.attempt_end(attempts(store, run).last))
    return end.why if end else "its process ended without giving a reason"


def record_worker_death(store: Store, experiments: Iterable[Experiment], fleet: str, rank: int, why: str) -> None:
    """Record that a worker's process died of the runs it was training, also where another has taken them over since."""
    ours, listed = {e.id for e in experiments}, standings.read(store)
    for id, attempts_on_it in listed.begun.items():
        for begun in attempts_on_it if id in ours and id not in listed.ended else ():
            if begun.is_live and begun.member == standings.mark(fleet, rank):
                end_attempt(store, RunFolder(id), begun.attempt, "died", why)
                store.write(standings.left_path(id, begun.attempt), standings.padded(b"", begun.epochs))
                store.delete(begun.path)


def record_crash(store: Store, experiment: Experiment, attempt: int, causes: list[str]) -> None:
    """Write the result of a run that failed too often, `attempt` being its last; all its device-seconds are wasted."""
    run = RunFolder(experiment.id)
    wasted = sum(device_seconds(store, run, number) for number in range(1, attempt + 1))
    result = Result(
        experiment_id=experiment.id,
        outcome="crashed",
        why=tuple(causes),
        attempt=attempt,
        summary=Summary(device_seconds=0.0, wasted_seconds=round(wasted, 3)),
    )
    if store.create_record(run.result, result):
        standings.note_result(store, run.id, result)
        standings.clear(store, run.id)


def retry(store: Store, run: RunFolder) -> bool:
    """Take away the result of a run that crashed, diverged or did not learn; False where it has none, or is done."""
    result = store.find_record(Result, run.result)
    if result is None or result.outcome == "done":
        return False
    last = attempts(store, run).last
    end_attempt(store, run, last, "settled", result.outcome)
    store.write_json(run.retry, Retry(last, now(), store.read_json(run.result)).plain())
    standings.reopen(store, run.id, last)
    store.delete(run.result)
    return True


def now() -> str:
    """The time as records state it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
