"""A verification holds for a version of torch, a kind of processor and a revision; elsewhere it is made again."""

from dataclasses import replace

import pytest
from support.synthetic import result

from pipeline.evaluation import proofs
from pipeline.evaluation.proofs import is_verified, proof_of, to_verify
from pipeline.plan.studies import study
from pipeline.records.result import Conditions, Digests, Evaluation, Result
from pipeline.store.paths import RunFolder

ONE = study("smoke").experiments[0]
RUN = RunFolder(ONE.id)
HERE = Conditions("2.11.0", "one kind of CPU", 2)


@pytest.fixture
def done(store, monkeypatch) -> Result:
    monkeypatch.setattr(proofs, "conditions", lambda: HERE)
    found = replace(result(ONE, 3.0), digests=Digests(model="m", dataset="d"))
    store.write_record(RUN.result, found)
    store.write(RUN.weights_of(found), b"weights")
    return found


def verified(store, done):
    store.write_record(RUN.evaluation, proof_of(store, done, ONE.id))


@pytest.mark.parametrize("other", [{"torch": "2.12.0"}, {"processor": "another"}, {"revision": 3}])
def test_it_is_made_again_where_one_of_the_three_has_changed_and_keeps_the_earlier(store, done, other, monkeypatch):
    assert to_verify(store, {ONE.id: done}) == [ONE.id]
    verified(store, done)
    assert is_verified(store, RUN)
    assert to_verify(store, {ONE.id: done}) == []
    there = replace(HERE, **other)
    monkeypatch.setattr(proofs, "conditions", lambda: there)
    assert not is_verified(store, RUN)
    assert to_verify(store, {ONE.id: done}) == [ONE.id]
    verified(store, done)
    assert store.find_record(Evaluation, RUN.evaluation).under == (HERE, there)
    monkeypatch.setattr(proofs, "conditions", lambda: HERE)
    assert to_verify(store, {ONE.id: done}) == []


def test_one_of_earlier_code_holds_for_no_known_conditions(store, done):
    store.write_json(RUN.evaluation, {"digests": done.plain()["digests"], "wrong": done.wrong, "seen": done.seen})
    assert to_verify(store, {ONE.id: done}) == [ONE.id]
    assert proofs.proofs(store, {ONE.id: done})[ONE.id]


def test_where_only_rounded_weights_are_left_the_earlier_one_stands(store, done, monkeypatch):
    verified(store, done)
    store.delete(RUN.weights_of(done))
    monkeypatch.setattr(proofs, "conditions", lambda: replace(HERE, torch="2.12.0"))
    assert to_verify(store, {ONE.id: done}) == []


def test_that_of_another_result_is_none(store, done):
    verified(store, done)
    assert to_verify(store, {ONE.id: replace(done, wrong=done.wrong + 1)}) == [ONE.id]
