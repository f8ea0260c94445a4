"""A run that is broken off ends like an unbroken one; damage is passed over; what was taken over is let go."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.noise import LONG, NOISE, ONE, claim, train

from pipeline.data import prepare
from pipeline.records.result import Result
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training import checkpoint, history, job, leases
from pipeline.training.leases import acquire
from pipeline.training.owners import LeaseObserver, this_process

pytestmark = pytest.mark.usefixtures("noise")


def interrupted(store, monkeypatch, after):
    """An attempt that is broken off after so many checkpoints."""
    save, saved = checkpoint.save, []

    def save_then_stop(*args):
        save(*args)
        saved.append(args)
        if len(saved) == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_then_stop)
    with pytest.raises(KeyboardInterrupt):
        train(store)
    monkeypatch.setattr(checkpoint, "save", save)


def without_time(rows):
    return [replace(row, seconds=0) for row in rows]


def test_a_broken_run_ends_like_an_unbroken_one_bit_for_bit(prepared, tmp_path, monkeypatch):
    other = open_store(str(tmp_path / "unbroken"))
    prepare.make(other, NOISE, ONE.recipe.preprocess)
    whole = train(other)
    interrupted(prepared, monkeypatch, after=1)
    interrupted(prepared, monkeypatch, after=2)
    result = train(prepared)
    assert result.attempt == 3
    assert result.digests.model == whole.digests.model
    run = RunFolder(ONE.id)
    assert without_time(history.read(prepared, run, 3)) == without_time(history.read(other, run, 1))


@pytest.mark.parametrize("harm", ["flipped", "cut", "gone", "note"])
def test_a_damaged_checkpoint_is_passed_over(prepared, monkeypatch, caplog, harm):
    interrupted(prepared, monkeypatch, after=3)
    run = RunFolder(ONE.id)
    path = f"{run.attempt(1)}/checkpoint/3"
    data = prepared.read(f"{path}.safetensors")
    if harm == "flipped":
        prepared.write(f"{path}.safetensors", data[:-1] + bytes([data[-1] ^ 1]))
    elif harm == "cut":
        prepared.write(f"{path}.safetensors", data[: len(data) // 2])
    elif harm == "gone":
        prepared.delete(f"{path}.safetensors")
    else:
        prepared.write(f"{path}.json", b"{")
    found = checkpoint.newest(prepared, run)
    assert (found.epochs_done, found.attempt) == (2, 1)
    assert "checkpoint/3 is not whole" in caplog.text
    assert train(prepared).epochs == 4


def test_a_damaged_history_starts_the_run_anew(prepared, monkeypatch, caplog):
    interrupted(prepared, monkeypatch, after=2)
    run = RunFolder(ONE.id)
    prepared.write(run.history(1), prepared.read(run.history(1))[:100])
    assert train(prepared).epochs == 4
    assert [row.epoch for row in history.read(prepared, run, 2)] == [0, 1, 2, 3]
    assert "starts anew" in caplog.text


def test_a_released_process_has_saved_what_others_go_on_with_bit_for_bit(prepared, tmp_path):
    other, runs = open_store(str(tmp_path / "unbroken")), [ONE, replace(ONE, seed=1)]
    prepare.make(other, NOISE, ONE.recipe.preprocess)
    whole = [train(other, e) for e in runs]
    held, _ = acquire(prepared, runs, 2, this_process(), LeaseObserver(prepared))
    with pytest.raises(leases.Released):
        job.run(held, prepared, released=lambda: True)
    for experiment in runs:
        run = RunFolder(experiment.id)
        end = prepared.read_json(run.attempt_end(1))
        assert end["how"] == "released"
        left = checkpoint.newest(prepared, run)
        assert left.part.seen > 0
    assert [train(prepared, e).digests.model for e in runs] == [result.digests.model for result in whole]
    assert prepared.read_json(run.provenance(2))["continues"] == {
        "attempt": 1, "epochs": left.epochs_done, "part_seconds": left.part.seconds,
    }  # fmt: skip
    result = prepared.read_record(Result, run.result)
    assert result.device_seconds == pytest.approx(sum(row.seconds for row in history.read(prepared, run, 2)), abs=0.01)
    assert result.summary.earlier == ()  # one machine


def test_a_run_that_is_killed_inside_an_epoch_goes_on_there_with_the_same_numbers(prepared, monkeypatch):
    whole, run = train(prepared, replace(ONE, seed=1)), RunFolder(replace(ONE, seed=1).id)
    model = prepared.read(run.weights(1))
    prepared.delete(run.result)
    for name in prepared.names(run.top):
        if not name.startswith("experiment"):
            prepared.delete(f"{run.top}/{name}")
    save, saved = checkpoint.save, []

    def until_the_second_epoch(*args):
        save(*args)
        saved.append(args[3:4] + args[6:])
        if args[3] == 1 and args[6] is not None and args[6].seen == 32:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", until_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        job.run([claim(prepared, replace(ONE, seed=1))], prepared, checkpoint_seconds=0, part_seconds=0)
    monkeypatch.setattr(checkpoint, "save", save)
    steps, count = [], job.Trainer.step
    monkeypatch.setattr(job.Trainer, "step", lambda lane, *args: (steps.append(lane.epoch), count(lane, *args)))
    [again] = job.run([claim(prepared, replace(ONE, seed=1))], prepared)
    assert steps.count(0) == 0
    assert steps.count(1) == 2  # of four
    assert prepared.read(run.weights(2)) == model
    assert (again.wrong, again.train_loss) == (whole.wrong, whole.train_loss)


def test_two_checkpoints_are_kept(prepared):
    train(prepared)
    names = prepared.names(f"{RunFolder(ONE.id).attempt(1)}/checkpoint")
    assert names == ["3.json", "3.safetensors", "4.json", "4.safetensors"]


def test_nothing_is_kept_of_a_run_that_was_taken_over(prepared, monkeypatch):
    held = claim(prepared)
    prepared.write_json(RunFolder(ONE.id).lease(2), {})
    with pytest.raises(leases.LeaseLost):
        job.run([held], prepared, checkpoint_seconds=0)
    assert not prepared.exists(RunFolder(ONE.id).result)
    assert not prepared.exists(RunFolder(ONE.id).weights(1))
    assert not prepared.names(f"{RunFolder(ONE.id).attempt(1)}/checkpoint")


@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_changes_no_number(tmp_path, kills):
    """The same run twice: unbroken, and killed after random pauses until it is done."""
    url, hits = str(tmp_path / "killed"), 0
    for wait in [*np.random.default_rng().uniform(0.1, 0.8, kills), None]:
        child = subprocess.Popen(
            [sys.executable, "-c", TRAINING, url, str(Path(__file__).parents[1])],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert child.stdout.readline() == b"training\n"
        if wait is not None:
            time.sleep(wait)
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        hits += child.returncode == -signal.SIGKILL
        assert child.returncode in ((0,) if wait is None else (0, -signal.SIGKILL))
    assert hits > 0
    calm = open_store(str(tmp_path / "unbroken"))
    prepare.make(calm, NOISE, ONE.recipe.preprocess)
    [unbroken] = job.run([claim(calm, LONG)], calm, 0)
    killed = open_store(url).read_record(Result, RunFolder(LONG.id).result)
    assert (killed.digests.model, killed.wrong) == (unbroken.digests.model, unbroken.wrong)


TRAINING = """
import sys
sys.path.insert(0, sys.argv[2])
from support.noise import LONG, NOISE, RAW, claim
from pipeline.data import prepare, sources
from pipeline.store.objects import open_store
from pipeline.training import job
sources._SOURCES["noise"] = lambda: RAW
store = open_store(sys.argv[1])
prepare.make(store, NOISE, LONG.recipe.preprocess)
print("training", flush=True)
job.run([claim(store, LONG)], store, 0)
"""
