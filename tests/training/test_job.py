"""Laws of the job: a result rests on what it names; every end of a run is an outcome."""

import threading
from dataclasses import replace

import pytest
import torch
from support.noise import ONE, RAW, claim, train

from pipeline.evaluation import verify
from pipeline.records.attempt import LeaseRecord
from pipeline.records.result import Result
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import RunFolder
from pipeline.training import history, job, leases
from pipeline.training.leases import acquire
from pipeline.training.owners import LeaseObserver, this_process

pytestmark = pytest.mark.usefixtures("noise")


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


def test_a_loss_that_is_not_finite_is_an_outcome(prepared):
    wild = replace(ONE, recipe=replace(ONE.recipe, lr=1e30))
    result = train(prepared, wild)
    assert result.outcome == "diverged"
    assert result.why == (f"diverged at epoch {result.epochs - 1}",)
    assert result.epochs < 4
    assert acquire(prepared, [wild], 1, this_process(), LeaseObserver(prepared)) == ([], True)
