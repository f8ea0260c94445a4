"""Laws of the job: a result rests on what it names; a killed run ends like an unbroken one; damage is passed over."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data import prepare, sources
from pipeline.errors import UserError
from pipeline.evaluation import verify
from pipeline.paper.networks import TWELVE, narrow
from pipeline.paper.recipes import Recipe
from pipeline.plan.datasets import Dataset
from pipeline.plan.experiment import Experiment
from pipeline.records.attempt import LeaseRecord
from pipeline.records.result import Result
from pipeline.store.objects import Store, open_store, sha256
from pipeline.store.paths import DatasetFolder, RunFolder
from pipeline.training import checkpoint, history, job, leases
from pipeline.training.leases import acquire
from pipeline.training.owners import LeaseObserver, this_process

RAW = sources.Raw(
    *(
        part
        for count, seed in ((64, 0), (40, 1))
        for part in (
            np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8),
            np.random.default_rng(seed).integers(0, 10, count, dtype=np.uint8),
        )
    )
)
NOISE = Dataset("noise", 32, 10, 64, 40, RAW.sha256)
ONE = Experiment(
    narrow(TWELVE["strided-cnn-a"], 24),
    NOISE,
    Recipe(lr=0.05, epochs=4, lr_drops=(2,), batch=16, initialization="he"),
)


@pytest.fixture(autouse=True)
def noise(monkeypatch):
    monkeypatch.setitem(sources._SOURCES, "noise", lambda: RAW)


@pytest.fixture
def prepared(store):
    prepare.make(store, NOISE, ONE.recipe.preprocess)
    return store


def claim(store, experiment=ONE):
    [held], _ = acquire(store, [experiment], 1, this_process(), LeaseObserver(store))
    return held


def train(store, experiment=ONE):
    [result] = job.run([claim(store, experiment)], store, checkpoint_seconds=0)
    return result


def test_a_result_rests_on_what_it_names(prepared):
    result, run = train(prepared), RunFolder(ONE.id)
    assert prepared.read_record(Result, run.result) == result
    assert sha256(prepared.read(run.weights(1))) == result.digests.model
    assert sha256(prepared.read(run.history(1))) == result.digests.history
    rows = history.read(prepared, run, 1)
    assert [row.epoch for row in rows] == [0, 1, 2, 3]
    assert (result.wrong, result.seen, result.epochs) == (rows[-1].test_wrong, 40, 4)
    said = result.summary
    assert (said.network, said.raw_sha256, said.wasted_seconds) == ("strided-cnn-a", RAW.sha256, 0)
    facts = prepared.read_json(run.provenance(1))
    assert facts["versions"]["torch"] == torch.__version__.split("+")[0]
    assert facts["dataset_manifest_sha256"] == result.digests.dataset


def test_stored_weights_make_the_errors_that_were_reported(prepared):
    result = train(prepared)
    assert verify.verify(prepared, ONE.id).wrong == result.wrong
    run = RunFolder(ONE.id)
    prepared.write_record(run.result, replace(result, wrong=result.wrong - 1))
    with pytest.raises(ValueError, match=f"{result.wrong} wrong of 40"):
        verify.verify(prepared, ONE.id)


def test_another_machine_may_round_ties_the_other_way_and_nothing_else(prepared):
    """Weights of zero and biases next to 1: whoever wins. What was reported is taken for true elsewhere alone."""
    train(prepared)
    run = RunFolder(ONE.id)
    result = prepared.read_record(Result, run.result)

    def verified(weights, wrong, **origin):
        digests = replace(result.digests, model=sha256(weights))
        summary = replace(result.summary, **origin)
        prepared.write(run.weights(1), weights)
        prepared.write_record(run.result, replace(result, digests=digests, summary=summary, wrong=wrong))
        return verify.verify(prepared, ONE.id)

    own = prepared.read(run.weights(1))
    level = checkpoint.weights(verify.load_model(prepared, ONE.id).model.apply(_level))
    assert verified(level, 3, processor="another").wrong == 3
    assert verified(level, 4, device="a GPU").wrong == 4
    with pytest.raises(ValueError, match="reported 3 wrong"):
        verified(level, 3)
    with pytest.raises(ValueError, match="do not trust"):
        verified(own, result.wrong - 1, processor="another")


def _level(module):
    if isinstance(module, torch.nn.Conv2d):
        torch.nn.init.zeros_(module.weight)
        module.bias.data = 1 + 1e-6 * torch.arange(len(module.bias))


def test_weights_that_are_not_the_results_are_refused(prepared):
    train(prepared)
    prepared.write(RunFolder(ONE.id).weights(1), b"something else")
    with pytest.raises(ValueError, match="damaged or replaced"):
        verify.load_model(prepared, ONE.id)


def test_halved_weights_stand_in_for_those_that_were_not_kept(prepared):
    train(prepared)
    run = RunFolder(ONE.id)
    whole = verify.load_model(prepared, ONE.id)
    verify.publish_float16(prepared, ONE.id)
    prepared.delete(run.weights(1))
    half = verify.load_model(prepared, ONE.id)
    assert (whole.rounded, half.rounded) == (False, True)
    for name, weights in half.model.state_dict().items():
        assert torch.equal(weights, whole.model.state_dict()[name].half().float())
    with pytest.raises(ValueError, match=r"rounded weights.*evaluation.json"):
        verify.verify(prepared, ONE.id)


def test_weights_of_earlier_code_are_found_beside_the_result(prepared):
    train(prepared)
    run = RunFolder(ONE.id)
    result, weights = prepared.read_record(Result, run.result), prepared.read(run.weights(1))
    prepared.delete(run.weights(1))
    with pytest.raises(UserError, match=r"attempts/1/model.safetensors is gone"):
        verify.load_model(prepared, ONE.id)
    prepared.write(f"runs/{ONE.id}/model.safetensors", weights)
    older = {name: value for name, value in result.plain().items() if not name.startswith("weights")}
    prepared.write_json(run.result, older)
    assert verify.verify(prepared, ONE.id).wrong == result.wrong


def test_a_late_attempt_cannot_touch_what_another_has_finished(prepared, monkeypatch):
    """The first attempt stalls after its last look at the lease, just before it writes its weights, until the second
    has finished; it trained other weights."""
    first, run = claim(prepared), RunFolder(ONE.id)
    stalled, go, ended = threading.Event(), threading.Event(), []
    write = Store.write

    def stalling(self, path, data):
        if path.endswith("1/model.safetensors"):
            stalled.set()
            assert go.wait(60)
            data = data[:-1] + bytes([data[-1] ^ 1])
        write(self, path, data)

    def late():
        try:
            job.run([first], prepared, checkpoint_seconds=0)
        except leases.LeaseLost as lost:
            ended.append(lost)

    monkeypatch.setattr(Store, "write", stalling)
    thread = threading.Thread(target=late)
    thread.start()
    assert stalled.wait(60)
    owner = this_process()
    prepared.write_json(run.lease(2), LeaseRecord(**owner.plain(), attempt=2).plain())
    [result] = job.run([leases.Lease(prepared, ONE, 2, owner)], prepared, checkpoint_seconds=0)
    before = {name: prepared.read(f"{run.top}/{name}") for name in prepared.names(run.top)}
    go.set()
    thread.join()
    assert len(ended) == 1
    assert result.weights == "attempts/2/model.safetensors"
    after = {name: prepared.read(f"{run.top}/{name}") for name in prepared.names(run.top)}
    own = {name for name in before.keys() | after.keys() if name.startswith(("attempts/1/", "claims/1."))}
    assert {name: data for name, data in after.items() if name not in own} == {
        name: data for name, data in before.items() if name not in own
    }
    assert "attempts/1/model.safetensors" not in after
    assert sha256(after[result.weights]) == result.digests.model
    assert verify.verify(prepared, ONE.id).wrong == result.wrong


def test_halves_of_other_weights_are_refused(prepared):
    train(prepared)
    run = RunFolder(ONE.id)
    verify.publish_float16(prepared, ONE.id)
    own = prepared.read(run.halved)
    others = verify.load_model(prepared, ONE.id).model.apply(_level)
    prepared.delete(run.halved)
    prepared.write(run.weights(1), checkpoint.weights(others))
    verify.publish_float16(prepared, ONE.id)  # whole in itself, and rounded from other weights than the result names
    wrong = prepared.read(run.halved)
    prepared.delete(run.weights(1))
    for damaged in (wrong, own[:-1] + bytes([own[-1] ^ 1]), b"no safetensors at all"):
        prepared.write(run.halved, damaged)
        with pytest.raises(ValueError, match="damaged or replaced"):
            verify.load_model(prepared, ONE.id)
    prepared.write(run.halved, own)
    assert verify.load_model(prepared, ONE.id).rounded


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


def test_a_result_of_another_attempt_stands(prepared, monkeypatch):
    held, run = claim(prepared), RunFolder(ONE.id)
    monkeypatch.setattr(leases.Lease, "check", lambda *_, **__: prepared.write_json(run.result, {"attempt": 2}))
    with pytest.raises(leases.LeaseLost, match="another attempt"):
        job.run([held], prepared, checkpoint_seconds=0)
    assert prepared.read_json(run.result) == {"attempt": 2}


def test_several_claims_are_alive_while_one_is_trained(prepared):
    two = replace(ONE, seed=1)
    held, _ = acquire(prepared, [ONE, two], 2, this_process(), LeaseObserver(prepared))
    results = job.run(held, prepared, checkpoint_seconds=0)
    assert [r.experiment_id for r in results] == [ONE.id, two.id]
    assert not any(name.endswith("end.json") for name in prepared.names("runs"))


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
        assert checkpoint.newest(prepared, run).part.seen > 0
    assert [train(prepared, e).digests.model for e in runs] == [result.digests.model for result in whole]


def test_what_fails_side_by_side_is_trained_one_by_one(prepared, monkeypatch):
    """And only a run that fails alone has failed."""
    two, bad = replace(ONE, seed=1), replace(ONE, seed=2)
    chunks = job.chunks

    def crowded(lanes):
        if len(lanes) > 1 or lanes[0].seed == 2:
            raise RuntimeError("out of memory")
        return chunks(lanes)

    monkeypatch.setattr(job, "chunks", crowded)
    held, _ = acquire(prepared, [ONE, two, bad], 3, this_process(), LeaseObserver(prepared))
    with pytest.raises(RuntimeError, match="out of memory"):
        job.run(held, prepared, checkpoint_seconds=0)
    assert [prepared.exists(RunFolder(e.id).result) for e in (ONE, two, bad)] == [True, True, False]
    assert prepared.read_json(RunFolder(bad.id).attempt_end(1))["how"] == "failed"


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


def test_a_network_without_a_gradient_did_not_learn(prepared):
    """A learning rate that throws every rectified score below zero."""
    dead = replace(ONE, recipe=replace(ONE.recipe, lr=5.0, epochs=30, lr_drops=(), weight_decay=0.0))
    result = train(prepared, dead)
    assert result.outcome == "dead"
    assert result.epochs < 30
    assert "no gradient" in result.why[0]


def test_the_setting_decides_the_precision_and_provenance_says_so(prepared, monkeypatch):
    monkeypatch.setenv("STRIVE_PRECISION", "bfloat16")
    train(prepared)
    assert prepared.read_json(RunFolder(ONE.id).provenance(1))["mode"] == "bfloat16"


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


def test_a_loss_that_is_not_finite_is_an_outcome(prepared):
    wild = replace(ONE, recipe=replace(ONE.recipe, lr=1e30))
    result = train(prepared, wild)
    assert result.outcome == "diverged"
    assert result.why == (f"diverged at epoch {result.epochs - 1}",)
    assert result.epochs < 4
    assert acquire(prepared, [wild], 1, this_process(), LeaseObserver(prepared)) == ([], True)


def test_a_damaged_data_set_is_refused(prepared):
    path = DatasetFolder(NOISE, ONE.recipe.preprocess).object("train-images.npy")
    data = prepared.read(path)
    prepared.write(path, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match=r"train-images.npy is damaged"):
        prepare.load(prepared, NOISE, ONE.recipe.preprocess).feeds(ONE.recipe)


def test_a_data_set_is_made_once_and_a_broken_attempt_completed(prepared):
    folder = DatasetFolder(NOISE, ONE.recipe.preprocess)
    before = {name: prepared.read(folder.object(name)) for name in prepared.names(folder.top)}
    prepared.delete(folder.manifest)
    prepared.delete(folder.object("test-images.npy"))
    prepare.make(prepared, NOISE, ONE.recipe.preprocess)
    assert {name: prepared.read(folder.object(name)) for name in prepared.names(folder.top)} == before
    manifest = prepared.read_json(folder.manifest)["objects"]
    assert {name: sha256(before[name]) for name in manifest} == {k: v["sha256"] for k, v in manifest.items()}


def test_other_images_than_planned_are_refused(store, monkeypatch):
    other = replace(RAW, test_labels=RAW.test_labels[::-1].copy())
    monkeypatch.setitem(sources._SOURCES, "noise", lambda: other)
    with pytest.raises(UserError, match="not the ones this study is about"):
        prepare.make(store, NOISE, ONE.recipe.preprocess)
    assert store.names("") == []


def test_digits_are_the_pinned_ones_in_two_disjoint_stratified_parts():
    from sklearn.datasets import load_digits

    found, target = sources.digits(), load_digits().target
    assert (len(found.train_labels), len(found.test_labels)) == (1442, 355)
    share = np.bincount(found.test_labels) / np.bincount(target)
    assert share.min() > 0.19
    assert share.max() <= 0.2
    both = np.concatenate([found.train_labels, found.test_labels])
    assert np.array_equal(np.bincount(both), np.bincount(target))
    assert (found.train_images.min(), found.train_images.max()) == (0, 255)


@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_changes_no_number(tmp_path, kills):
    """The same run twice: unbroken, and killed after random pauses until it is done."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, str(Path(sys.argv[2])))\n"
        "import test_job as t; from pipeline.data import prepare, sources\n"
        "from pipeline.store.objects import open_store\n"
        "sources._SOURCES['noise'] = lambda: t.RAW\n"
        "store = open_store(sys.argv[1]); prepare.make(store, t.NOISE, t.ONE.recipe.preprocess)\n"
        "print('training', flush=True)\n"
        "held, _ = t.acquire(store, [t.LONG], 1, t.this_process(), t.LeaseObserver(store)); t.job.run(held, store, 0)\n"
    )
    url, hits = str(tmp_path / "killed"), 0
    for wait in [*np.random.default_rng().uniform(0.1, 0.8, kills), None]:
        child = subprocess.Popen(
            [sys.executable, "-c", script, url, str(Path(__file__).parent)],
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


LONG = replace(ONE, recipe=replace(ONE.recipe, epochs=40, lr_drops=(20,)))
