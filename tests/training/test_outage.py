"""Training while the store is away: epochs go on, what is written waits, and the numbers are those of a calm run."""

import os
import threading
import time
from dataclasses import replace
from urllib.parse import urlparse

import pytest
from support.outage import Proxy

from pipeline.data import prepare
from pipeline.errors import StoreAway
from pipeline.plan.studies import study
from pipeline.records.result import Result
from pipeline.store import objects
from pipeline.store import outage as outage_module
from pipeline.store import s3 as s3_module
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training import job, leases, under_way
from pipeline.training.attempts import attempts, failures
from pipeline.training.leases import LeaseLost, acquire
from pipeline.training.owners import SILENCE_SECONDS, LeaseObserver, this_process

pytestmark = pytest.mark.s3
ONE = study("smoke").experiments[0]
RUN = RunFolder(ONE.id)
WAYS = ("dropped", "silent", "503")


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The result without an outage."""
    store = open_store(str(tmp_path_factory.mktemp("calm")))
    prepare.make(store, ONE.dataset, ONE.recipe.preprocess)
    return trained(store)


@pytest.fixture
def proxy(s3, monkeypatch):
    monkeypatch.setattr(s3_module, "READ_SECONDS", 1)
    monkeypatch.setattr(s3_module, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(outage_module, "RESTS_SECONDS", 0.1)
    monkeypatch.setattr(objects, "WAITS", (0.1, 0.2, 0.4))
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.5)
    monkeypatch.setattr(leases, "BRIEF_SECONDS", 1.0)
    monkeypatch.setattr(under_way, "BRIEF_SECONDS", 1.0)
    with Proxy(urlparse(os.environ["AWS_ENDPOINT_URL"]).port) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{between.port}")
        yield between


def lease_on(store):
    [held], _ = acquire(store, [ONE], 1, this_process(), LeaseObserver(store))
    return held


def trained(store):
    [result] = job.run([lease_on(store)], store, checkpoint_seconds=0)
    return result


def at_epoch(monkeypatch, number, do):
    """Call `do` when the epoch is over, before its checkpoint."""
    progress = leases.Lease.progress

    def then(self, epoch, seconds):
        progress(self, epoch, seconds)
        if epoch == number:
            do()

    monkeypatch.setattr(leases.Lease, "progress", then)


@pytest.mark.parametrize(
    ("epoch", "way"),
    [
        pytest.param(epoch, way, marks=() if (epoch, way) == (1, "silent") else pytest.mark.ci)
        for epoch in (1, 2)  # in mid-training and at the end
        for way in WAYS
    ],
)
def test_an_outage_changes_no_number(proxy, s3, calm, monkeypatch, epoch, way):
    store = open_store(f"{s3}/{way}-{epoch}", 30)
    prepare.make(store, ONE.dataset, ONE.recipe.preprocess)

    def go_away():
        proxy.way = way
        threading.Timer(3, proxy.back).start()

    at_epoch(monkeypatch, epoch, go_away)
    result = trained(store)
    assert store.read_record(Result, RUN.result) == result
    assert (result.attempt, result.wrong, result.digests.model) == (1, calm.wrong, calm.digests.model)
    assert store.outage.ended >= 1


def test_training_goes_on_while_the_store_is_away(proxy, s3, monkeypatch):
    """Both epochs end in the outage: only the result waits for the store."""
    store = open_store(f"{s3}/goes-on", 30)
    prepare.make(store, ONE.dataset, ONE.recipe.preprocess)
    ended = []
    at_epoch(monkeypatch, 1, lambda: setattr(proxy, "way", "dropped"))
    at_epoch(monkeypatch, 2, lambda: (ended.append(proxy.way), proxy.back()))
    assert trained(store).outcome == "done"
    assert ended == ["dropped"]


def test_it_gives_up_with_one_sentence_and_the_run_goes_on_later(proxy, s3, monkeypatch, calm):
    store = open_store(f"{s3}/gives-up", 2)
    prepare.make(store, ONE.dataset, ONE.recipe.preprocess)
    with monkeypatch.context() as patch, proxy.away("dropped"):
        proxy.back()
        at_epoch(patch, 2, lambda: setattr(proxy, "way", "dropped"))
        with pytest.raises(StoreAway, match=rf"^the store {s3}/gives-up has not answered for \d+ s \(.+\): check "):
            trained(store)
    time.sleep(0.2)
    now = [0.0]
    observer = LeaseObserver(store, lambda: now[0])
    assert acquire(store, [ONE], 1, this_process(), observer) == ([], False)  # it could not release the run
    now[0] = SILENCE_SECONDS
    held, _ = acquire(store, [ONE], 1, this_process(), observer)
    [again] = job.run(held, store)
    assert (again.attempt, again.digests.model) == (2, calm.digests.model)
    assert failures(store, RUN, attempts(store, RUN)) == []


def test_a_lease_outlives_an_outage_that_both_sides_see(proxy, s3):
    """By the observer's clock more than a minute of silence, all of it in the outage."""
    store, now = open_store(f"{s3}/both", 30), [0.0]
    held = lease_on(store)
    store.write_json(RUN.lease(1), held.owner.plain() | {"host": "another machine"})
    held.beat()
    observer = LeaseObserver(store, lambda: now[0])
    assert observer.alive(RUN, 1)
    with proxy.away("dropped"), pytest.raises(StoreAway):
        store.within(1).exists(RUN.result)
    store.exists(RUN.result)  # waits until the store is back
    now[0] = 70.0
    assert observer.alive(RUN, 1)
    now[0] = 131.0  # it had a minute since, and did not say anything
    assert not observer.alive(RUN, 1)


def test_an_owner_that_alone_saw_no_store_stops_when_its_run_was_taken_over(proxy, s3, monkeypatch):
    mine, theirs = open_store(f"{s3}/alone", 30), None
    prepare.make(mine, ONE.dataset, ONE.recipe.preprocess)
    with monkeypatch.context() as past:
        past.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy._behind[1]}")
        theirs = open_store(f"{s3}/alone", 60)

    def take_over():
        proxy.way = "dropped"
        record = replace(this_process(), host="another machine").plain()
        assert theirs.create_json(RUN.lease(2), record)
        threading.Timer(1.5, proxy.back).start()

    at_epoch(monkeypatch, 2, take_over)
    with pytest.raises(LeaseLost, match="attempt 1"):
        trained(mine)
    assert not theirs.exists(RUN.result)
    assert not any(theirs.exists(path) for path in (RUN.weights(1), RUN.old_model))
