"""How workers share runs by one listing: requests by hand, and what a listing that is not true costs."""

import subprocess
import sys
from dataclasses import replace

import pytest

from pipeline.bench.counted_store import CountedBackend
from pipeline.integrity.check import check, repair
from pipeline.plan.studies import study
from pipeline.records.result import Result
from pipeline.runtime.process_identity import process_started
from pipeline.store import standings
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.training import attempts
from pipeline.training.leases import LeaseLost
from pipeline.training.owners import LeaseObserver, this_process
from pipeline.training.progress import Progress
from pipeline.training.queue import Queue

DIGITS = study("digits", 1)
RUNS = list(DIGITS.experiments)
DONE = Result(outcome="done", attempt=1, epochs=10, wrong=3, seen=90, seconds=1.5)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def counted():
    """A store in memory, whose list is whole, and what it was asked."""
    backend = CountedBackend(lambda _seconds: None, lambda: 0.0)
    store = Store(backend)
    standings.complete(store, [])
    backend.requests.clear()
    return store, backend.requests


def queue(store, clock=None, **owner):
    return Queue(store, replace(this_process(), **owner), LeaseObserver(store, *([clock] if clock else [])))


def finished(store, this, result=DONE):
    store.create_record(RunFolder(this.id).result, replace(result, experiment_id=this.id))


def states(store, runs=RUNS):
    return [s.state for s in Progress(store, list(runs)).statuses()]


def test_a_run_costs_four_requests_to_take_and_the_next_one_three(counted):
    """A listing, a look for the result, the lease, and its key; a moment later the listing is still good."""
    store, sent = counted
    worker = queue(store)
    held, _ = worker.take(RUNS, 1)
    assert (len(held), dict(sent)) == (1, {"LIST": 1, "HEAD": 1, "PUT": 2})
    worker.take(RUNS, 1)
    assert dict(sent) == {"LIST": 1, "HEAD": 2, "PUT": 4}


def test_workers_of_a_fleet_begin_where_no_other_does(counted):
    store, sent = counted
    workers = [queue(store, fleet="f", rank=rank) for rank in range(len(RUNS))]
    for worker in workers:
        worker._list(RUNS)  # all of them before any has a run
    held = [worker.take(RUNS, 1)[0] for worker in workers]
    assert [lease.experiment for [lease] in held] == RUNS
    assert sent["PUT"] == 2 * len(RUNS)  # no worker asked for another's


def test_when_all_are_at_work_a_look_is_one_request_and_the_next_comes_later(counted):
    store, sent = counted
    queue(store).take(RUNS, len(RUNS))
    idle = queue(store)
    sent.clear()
    assert idle.take(RUNS, 1) == ([], False)
    assert dict(sent) == {"LIST": 1}
    pauses = [idle.pause() for _ in range(20)]
    assert max(pauses[:2]) <= 2.25
    assert 5.0 <= pauses[-1] <= 10.0


def test_what_was_stopped_goes_on_before_others_begin(counted):
    store, _ = counted
    held, _ = queue(store).take(RUNS, 6)
    for lease in held[3:]:
        lease.end("released", "")
    later, _ = queue(store, token="another").take(RUNS[::-1], 3)
    assert {lease.experiment.id for lease in later} == {lease.experiment.id for lease in held[3:]}
    assert [lease.attempt for lease in later] == [2, 2, 2]


def test_ten_thousand_runs_are_seen_by_21_requests_and_then_by_11():
    """9,000 keys of results, 1,000 of attempts and one that says that this is all: 11 pages of 1,000. The first look
    lists the folders of the runs too: 10 pages."""
    backend = CountedBackend(lambda _seconds: None, lambda: 0.0)
    store = Store(backend)
    standings.complete(store, [])
    many = [replace(RUNS[0], seed=seed) for seed in range(10_000)]
    owner = this_process()
    for e in many:
        store.write(RunFolder(e.id).experiment, b"")
    for e in many[:9000]:
        standings.note_result(store, e.id, DONE)
    for e in many[9000:]:
        store.write(standings.live_path(e.id, 1, owner), standings.padded(b"", 7))
    backend.requests.clear()
    progress = Progress(store, many)
    found = progress.statuses()
    assert dict(backend.requests) == {"LIST": 21}
    progress.statuses()
    assert dict(backend.requests) == {"LIST": 21 + 11}
    assert (found[0].state, found[0].error_percent, found[0].result.seconds) == ("done", 100 * 3 / 90, 1.5)
    assert (found[-1].state, found[-1].epoch, found[-1].attempt) == ("running", 7, 1)


def test_states_of_a_listed_study_are_those_that_a_walk_sees(store):
    """Done, running, left with and without an epoch, missing: by the listing of all and by a look at each alone."""
    standings.complete(store, [])
    worker = queue(store, fleet="f")
    held, _ = worker.take(RUNS, 4)
    finished(store, RUNS[0])
    held[0].finish(DONE)
    held[2].end("released", "")
    held[3].progress(2, 1.0)
    held[3].end("released", "")
    store.write_json(f"{RunFolder(RUNS[3].id).attempt(1)}/checkpoint/2.json", {})
    listed = states(store)
    assert listed == [states(store, [e])[0] for e in RUNS]
    assert listed[:5] == ["done", "running", "missing", "stopped", "missing"]


def test_a_store_of_earlier_code_is_read_and_listed_once(store):
    for e in RUNS[:3]:
        finished(store, e)
    assert states(store)[:4] == ["done", "done", "done", "missing"]
    standings.complete(store, [])
    assert set(standings.read(store).ended) == {e.id for e in RUNS[:3]}
    held, _ = queue(store).take(RUNS, len(RUNS))
    assert {lease.experiment.id for lease in held} == {e.id for e in RUNS[3:]}


def test_a_result_that_was_not_listed_is_found_before_the_run_is_trained_again(counted):
    store, _ = counted
    for e in RUNS:
        finished(store, e)
    assert queue(store).take(RUNS, 1) == ([], True)
    assert states(store) == ["done"] * len(RUNS)


def test_a_result_counts_though_its_process_died_before_it_wrote_the_key(store):
    standings.complete(store, [])
    queue(store, pid=2**22 + 1).take(RUNS[:1], 1)  # no process has this number
    finished(store, RUNS[0])
    assert states(store)[0] == "done"


def test_runs_that_were_copied_from_another_store_are_seen_though_no_key_tells_of_them(store):
    """A finished one, and one that was stopped after two epochs."""
    standings.complete(store, [])
    finished(store, RUNS[0])
    store.write_json(RunFolder(RUNS[1].id).lease(1), {**this_process().plain(), "attempt": 1, "at": ""})
    attempts.end_attempt(store, RunFolder(RUNS[1].id), 1, "released", "")
    store.write_json(f"{RunFolder(RUNS[1].id).attempt(1)}/checkpoint/2.json", {})
    assert states(store)[:3] == ["done", "stopped", "missing"]


def test_a_result_that_a_person_deleted_is_trained_again(counted):
    store, _ = counted
    standings.note_result(store, RUNS[0].id, DONE)
    standings.complete(store, [RUNS[0].id])
    assert queue(store, fleet="f").take(RUNS[:1], 1)[0]


def test_a_process_that_is_gone_is_replaced_at_once_by_the_listing(store):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_started(child.pid)
    standings.complete(store, [])
    queue(store, pid=child.pid, started=started).take(RUNS[:1], 1)
    assert queue(store).take(RUNS[:1], 1) == ([], False)
    child.communicate(b"\n")
    [lease], _ = queue(store).take(RUNS[:1], 1)
    assert lease.attempt == 2


def test_one_elsewhere_after_60_silent_seconds_and_what_it_leaves_is_cleared(store, monkeypatch):
    from pipeline.training import queue as module

    clock = Clock()
    monkeypatch.setattr(module, "LISTED_SECONDS", 0.0)
    standings.complete(store, [])
    [old], _ = queue(store, host="another").take(RUNS[:1], 1)
    worker = queue(store, clock)
    for clock.now in (0.0, 59.9):
        assert worker.take(RUNS[:1], 1) == ([], False)
    clock.now = 60.0
    [lease], _ = worker.take(RUNS[:1], 1)
    assert lease.attempt == 2
    with pytest.raises(LeaseLost):
        old.check()
    finished(store, RUNS[0])
    lease.finish(replace(DONE, attempt=2))
    listed = standings.read(store)
    assert (list(listed.ended), listed.begun) == ([RUNS[0].id], {})


def test_a_run_that_is_retried_is_open_again(store):
    standings.complete(store, [])
    diverged = replace(DONE, outcome="diverged")
    [lease], _ = queue(store, fleet="f").take(RUNS[:1], 1)
    finished(store, RUNS[0], diverged)
    lease.finish(diverged)
    assert queue(store).take(RUNS[:1], 1) == ([], True)
    assert attempts.retry(store, RunFolder(RUNS[0].id))
    [again], _ = queue(store).take(RUNS[:1], 1)
    assert again.attempt == 2


def test_a_check_finds_what_the_listing_says_wrongly(store):
    finished(store, RUNS[0])
    standings.note_result(store, RUNS[0].id, replace(DONE, wrong=4))
    standings.note_result(store, RUNS[1].id, DONE)
    faults = [f for f in check(store, DIGITS).faults if "/standings/" in f.address]
    assert [f.what for f in faults] == ["the run has another result", "the run has no result"]
    repair(store, faults)
    assert not [f for f in check(store, DIGITS).faults if "/standings/" in f.address]
    assert standings.read(store).result(RUNS[0].id).wrong == 3


def test_keys_that_others_put_there_harm_nothing(store):
    for name in ("ended/x", "live/x.y", "left/a.b.c", "other", "ended/a.done.1.2.x.4.5"):
        store.write(f"standings/{name}", b"")
    assert states(store) == ["missing"] * len(RUNS)
    assert len(queue(store).take(RUNS, 99)[0]) == len(RUNS)
