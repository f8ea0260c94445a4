"""A store that is away, seen from behind a proxy before a real server: it is waited for, and named."""

import os
import threading
import time
from urllib.parse import urlparse
from uuid import uuid4

import pytest
from support.outage import Proxy
from support.processes import free_port

from pipeline.errors import StoreAway, StoreRefused
from pipeline.store import objects
from pipeline.store import outage as outage_module
from pipeline.store import s3 as s3_module
from pipeline.store.objects import open_store

pytestmark = pytest.mark.s3
WAYS = ("dropped", "silent", "503")


@pytest.fixture
def proxy(s3, monkeypatch):
    monkeypatch.setattr(s3_module, "READ_SECONDS", 1)
    monkeypatch.setattr(s3_module, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(outage_module, "RESTS_SECONDS", 0.1)
    monkeypatch.setattr(objects, "WAITS", (0.1, 0.2, 0.4))
    with Proxy(urlparse(os.environ["AWS_ENDPOINT_URL"]).port) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{between.port}")
        yield between


@pytest.mark.parametrize("way", WAYS)
def test_what_is_asked_in_an_outage_is_answered_after_it(proxy, s3, way):
    store = open_store(f"{s3}/{way}", 60)
    store.write("x", b"before")
    with proxy.away(way, seconds=2):
        began = time.monotonic()
        store.write("x", b"after")
        assert time.monotonic() - began >= 1.5
    assert store.read("x") == b"after"
    assert store.create("once", b"1")
    assert not store.create("once", b"2")
    assert store.outage.seconds() == 0
    assert store.outage.ended >= 1  # a busy machine has more of them


@pytest.mark.parametrize("way", WAYS)
def test_patience_ends_with_a_sentence_and_an_outage_is_not_taken_for_an_empty_store(proxy, s3, way):
    store = open_store(f"{s3}/patience-{way}", 1)
    store.within(60).write("x", b"before")
    with proxy.away(way):
        for ask in (store.read, store.exists, store.names, lambda path: store.write(path, b"after")):
            with pytest.raises(
                StoreAway, match=rf"the store {s3}/patience-{way} has not answered for \d+ s \(.+\): check "
            ):
                ask("x")
    assert store.within(60).names("") == ["x"]


def test_many_who_wait_give_up_together(proxy, s3):
    store = open_store(f"{s3}/many", 2)
    store.within(60).write("x", b"before")
    ends = []

    def ask():
        for _ in range(20):
            with pytest.raises(StoreAway):
                store.read("x")
        ends.append(time.monotonic())

    with proxy.away("silent"):
        began = time.monotonic()
        threads = [threading.Thread(target=ask) for _ in range(100)]  # more than there are connections
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ends) == 100
    assert max(ends) - began < 20  # each on its own: 20 times 2 s


def test_the_log_says_how_long_and_when_it_is_over(proxy, s3, monkeypatch, caplog):
    monkeypatch.setattr(outage_module, "SAID_SECONDS", 0.3)
    store = open_store(f"{s3}/log", 60)
    with proxy.away("dropped", seconds=1):
        store.write("x", b"")
    said = [record.getMessage() for record in caplog.records if record.name == "pipeline.store.outage"]
    assert f"{s3}/log has not answered for " in said[0]
    assert f"{s3}/log answers again, after" in said[-1]


def test_nothing_listens_there(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreAway, match="Could not connect to the endpoint URL"):
        open_store(f"{s3}/x", 0.5).exists("x")


def test_a_bucket_that_is_missing_is_named_and_not_taken_for_an_empty_one(s3):
    for ask in ("exists", "names", "sizes", "read", "find"):
        store = open_store("s3://strive-that-is-not-there/x", 60)
        with pytest.raises(StoreRefused, match=r"^the store s3://strive-that-is-not-there/x: http\S+ has no bucket "):
            getattr(store, ask)("x")
    with pytest.raises(StoreRefused, match=r"make it with `python infra/bucket.py`, or correct --store"):
        open_store("s3://strive-that-is-not-there/x", 60).write("x", b"")


def test_a_bucket_that_goes_away_is_missed(s3):
    bucket = f"strive-{uuid4().hex[:8]}"
    store = open_store(f"s3://{bucket}/x", 60)
    store.backend.fs.call_s3("create_bucket", Bucket=bucket)
    store.write("x", b"")
    store.delete("x")
    assert store.find("x") is None
    store.backend.fs.call_s3("delete_bucket", Bucket=bucket)
    for ask in (store.read, lambda path: store.write(path, b"")):
        with pytest.raises(StoreRefused, match="has no bucket"):
            ask("x")
