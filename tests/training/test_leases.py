"""Laws of claims, on a folder and over HTTP: one holder at a time, the dead are replaced, the guilty recorded."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.plan.studies import study
from pipeline.runtime.process_identity import process_started
from pipeline.store import standings
from pipeline.store.paths import RunFolder
from pipeline.training import leases
from pipeline.training.attempts import attempts, end_attempt, failures, record_worker_death, retry
from pipeline.training.leases import LeaseLost, acquire
from pipeline.training.owners import SILENCE_SECONDS, LeaseObserver, owner_exited, this_process
from pipeline.training.progress import Progress

ONE, TWO = study("smoke").experiments
RUN = RunFolder(ONE.id)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(store, clock):
    return LeaseObserver(store, clock)


def elsewhere(**changes):
    return replace(this_process(), host="another machine", **changes)


def dead_process():
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_started(ended.pid)
    ended.communicate(b"\n")
    return replace(this_process(), pid=ended.pid, started=started)


def test_a_run_is_held_by_one(store, watch):
    held, settled = acquire(store, [ONE, TWO], 1, this_process(), watch)
    assert [(c.experiment, c.attempt) for c in held] == [(ONE, 1)]
    others, _ = acquire(store, [ONE, TWO], 9, this_process(), watch)
    assert [(c.experiment, c.attempt) for c in others] == [(TWO, 1)]
    assert acquire(store, [ONE, TWO], 9, this_process(), watch) == ([], False)
    assert not settled


def test_what_has_an_outcome_is_settled(store, watch):
    for e in (ONE, TWO):
        store.write_json(RunFolder(e.id).result, {"outcome": "done"})
    assert acquire(store, [ONE, TWO], 9, this_process(), watch) == ([], True)


def test_a_claim_is_dead_at_once_when_its_process_is_gone_on_this_host(store, watch):
    acquire(store, [ONE], 1, dead_process(), watch)
    [claim], _ = acquire(store, [ONE], 1, this_process(), watch)
    assert claim.attempt == 2


def test_a_pid_that_was_given_away_again_is_not_the_owner():
    me = this_process()
    assert not owner_exited(me)
    assert owner_exited(replace(me, started="1"))
    # a machine of the same name, or this one before it was started anew: nothing is known at once
    assert not owner_exited(replace(me, boot="another", started="1"))
    assert not owner_exited(replace(me, host="another machine", started="1"))


def test_a_zombie_is_gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    while process_started(child.pid) is not None:
        pass
    assert child.returncode is None  # not waited for yet
    child.wait()


def test_a_claim_from_elsewhere_dies_of_60_silent_seconds_by_the_observers_clock(store, watch, clock):
    acquire(store, [ONE], 1, elsewhere(), watch)
    assert acquire(store, [ONE], 1, this_process(), watch) == ([], False)
    clock.now = 59.9
    assert acquire(store, [ONE], 1, this_process(), watch) == ([], False)
    clock.now = 60.0
    [claim], _ = acquire(store, [ONE], 1, this_process(), watch)
    assert claim.attempt == 2


def test_a_heartbeat_starts_the_silence_anew(store, watch, clock):
    [claim], _ = acquire(store, [ONE], 1, elsewhere(), watch)
    for now in (0, 50, 100, 150):
        clock.now = now
        claim.beat()
        assert watch.alive(RUN, 1)
    clock.now = 211
    assert not watch.alive(RUN, 1)


def test_an_observer_who_has_just_come_must_wait_himself(store, clock):
    acquire(store, [ONE], 1, elsewhere(), LeaseObserver(store, clock))
    clock.now = 1000.0
    assert LeaseObserver(store, clock).alive(RUN, 1)


def test_a_living_claim_beats_by_itself_and_shows_progress(store, watch, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.1)
    [claim], _ = acquire(store, [ONE], 1, this_process(), watch)
    with claim:
        claim.progress(1, 0.5)
        while (beat := store.find_json(RUN.heartbeat(1))) is None or beat["beat"] < 2:
            pass
        assert (beat["epoch"], beat["epochs"], beat["epoch_seconds"]) == (1, 2, 0.5)
        claim.finished = True


def test_who_was_replaced_must_not_go_on(store, watch):
    [claim], _ = acquire(store, [ONE], 1, dead_process(), watch)
    claim.check()
    acquire(store, [ONE], 1, this_process(), watch)
    with pytest.raises(LeaseLost, match="attempt 1"):
        claim.check()


def test_leaving_without_a_result_releases_the_run_at_once(store, watch):
    [claim], _ = acquire(store, [ONE], 1, elsewhere(), watch)
    with pytest.raises(KeyboardInterrupt), claim:
        raise KeyboardInterrupt
    [again], _ = acquire(store, [ONE], 1, this_process(), watch)
    assert again.attempt == 2
    assert failures(store, RUN, attempts(store, RUN)) == []


def _before(claim, seconds):
    begun = datetime.fromisoformat(claim.store.read_json(RUN.lease(claim.attempt))["at"])
    return (begun - timedelta(seconds=seconds)).isoformat(timespec="seconds")


def test_three_errors_of_its_own_crash_a_run_until_it_is_retried(store, watch):
    for number in (1, 2, 3):
        [claim], _ = acquire(store, [ONE], 1, this_process(), watch)
        assert claim.attempt == number
        store.write_json(RUN.provenance(number), {"at": _before(claim, 5), "devices": 2})
        with pytest.raises(ZeroDivisionError), claim, claim.blame_run():
            raise ZeroDivisionError(f"number {number}")
    assert acquire(store, [ONE], 1, this_process(), watch) == ([], True)
    result = store.read_json(RUN.result)
    assert result["outcome"] == "crashed"
    assert "number 3" in result["why"][-1]
    assert 3 * 2 * 5 <= result["summary"]["wasted_seconds"] < 3 * 2 * 60
    assert retry(store, RUN)
    [claim], _ = acquire(store, [ONE], 1, this_process(), watch)
    assert claim.attempt == 4
    assert not retry(store, RUN)


def test_a_full_disk_is_no_fault_of_the_run(store, watch):
    for _ in range(5):
        [claim], _ = acquire(store, [ONE], 1, this_process(), watch)
        with pytest.raises(OSError, match="No space"), claim, claim.blame_run():
            raise OSError(28, "No space left on device")
    assert failures(store, RUN, attempts(store, RUN)) == []


def test_only_the_worker_that_died_is_blamed(store, watch):
    guilty, innocent = replace(dead_process(), fleet="f", rank=0), replace(dead_process(), fleet="f", rank=1)
    acquire(store, [ONE], 1, guilty, watch)
    acquire(store, [TWO], 1, innocent, watch)
    record_worker_death(store, [ONE, TWO], "f", 0, "killed by signal 9")
    found = {e.id: failures(store, RunFolder(e.id), attempts(store, RunFolder(e.id))) for e in (ONE, TWO)}
    assert found == {ONE.id: ["killed by signal 9"], TWO.id: []}


def test_processes_killed_from_outside_do_not_crash_a_run(store, watch):
    for _ in range(5):
        [_], _ = acquire(store, [ONE], 1, dead_process(), watch)
    [claim], _ = acquire(store, [ONE], 1, this_process(), watch)
    assert claim.attempt == 6


def test_a_diverged_run_is_tried_again_only_after_retry(store, watch):
    [claim], _ = acquire(store, [ONE], 1, this_process(), watch)
    store.write_json(RUN.result, {"outcome": "diverged", "attempt": 1, "wrong": 9, "seen": 9})
    assert acquire(store, [ONE], 1, this_process(), watch) == ([], True)
    assert retry(store, RUN)
    [again], _ = acquire(store, [ONE], 1, this_process(), watch)  # at once, though the process of attempt 1 still lives
    assert (claim.attempt, again.attempt) == (1, 2)


def test_a_finished_run_is_not_retried(store):
    store.write_json(RUN.result, {"outcome": "done", "attempt": 1, "wrong": 1, "seen": 9})
    assert not retry(store, RUN)
    assert store.exists(RUN.result)


def test_the_first_end_of_an_attempt_stands(store):
    end_attempt(store, RUN, 1, "died", "first")
    end_attempt(store, RUN, 1, "released", "second")
    assert store.read_json(RUN.attempt_end(1))["how"] == "died"


def test_an_owner_is_this_process():
    assert this_process().pid == os.getpid()
    assert this_process().token != this_process().token


def test_a_live_process_of_another_user_that_is_hidden_keeps_its_run(store, watch, clock, monkeypatch):
    """As where /proc has hidepid=2: it is not there to be read, and may not be signaled."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        owner = replace(this_process(), pid=other.pid, started=process_started(other.pid))
        [[lease], _] = acquire(store, [ONE], 1, owner, watch)
        read, ask = Path.read_text, os.kill

        def hidden(file, *how, **more):
            if str(file) == f"/proc/{other.pid}/stat":
                raise FileNotFoundError(file)
            return read(file, *how, **more)

        def refused(pid, number):
            if pid == other.pid:
                raise PermissionError(pid)
            ask(pid, number)

        monkeypatch.setattr(Path, "read_text", hidden)
        monkeypatch.setattr(os, "kill", refused)
        assert not owner_exited(owner)
        assert acquire(store, [ONE], 1, this_process(), watch) == ([], False)
        assert [s.state for s in Progress(store, [ONE]).statuses()] == ["running"]
        listed = standings.read(store).live[ONE.id]
        assert watch.is_listed_alive(listed)
        clock.now = SILENCE_SECONDS + 1
        assert not watch.is_listed_alive(listed)
        monkeypatch.undo()
        other.communicate(b"\n")
    assert owner_exited(owner)
    assert lease.attempt == 1
