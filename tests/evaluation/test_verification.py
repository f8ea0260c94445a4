"""Many runs are verified on the cluster; what each is told of them is what one process finds alone."""

import pytest
from support.looked import experiment, finish, raw

from pipeline.data import sources
from pipeline.errors import UserError
from pipeline.evaluation import verification
from pipeline.evaluation.proofs import is_verified
from pipeline.plan.studies import study
from pipeline.records.result import Result
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder


def test_how_long_it_takes_follows_from_the_tables():
    """All-CNN-C, in millions of multiplications: 2.7 + 85 + 21 + 42 + 85 + 21 at sides 32 and 16, about 14 above: 0.27
    billion an image. 10,000 images, two operations each, at 3e10 a second: 180 s. A study of digits is verified where
    it is published, Table 3 on the cluster."""
    [one, *_] = [e for e in study("table-3").experiments if e.network.name == "all-cnn-c"]
    assert verification.seconds([one]) == pytest.approx(2 * 0.27e9 * 10_000 / 3e10, rel=0.1)
    assert verification.is_small(study("digits").wanted)
    assert not verification.is_small([one])


def test_the_first_five_troubles_are_told():
    verification.insist(["", ""])
    with pytest.raises(UserError, match=r"^0; 1; 2; 3; 4 \(and 2 more such runs\)$"):
        verification.insist([str(n) for n in range(7)])


@pytest.mark.ray
@pytest.mark.ci
def test_on_a_cluster_what_proves_nothing_is_told_and_all_others_are_verified(tmp_path, monkeypatch):
    monkeypatch.setitem(sources._SOURCES, "noise", raw)
    store, runs = open_store(str(tmp_path)), [experiment("strided-cnn-a", seed=n) for n in range(3)]
    for run in runs:
        finish(store, run)
    lost = RunFolder(runs[1].id)
    store.delete(lost.weights_of(store.read_record(Result, lost.result)))
    said = verification.Verification(runs, store.url, workers=2).troubles()
    assert sum(bool(text) for text in said) == 1
    assert any("is gone" in text for text in said)
    assert [is_verified(store, RunFolder(run.id)) for run in runs] == [True, False, True]
