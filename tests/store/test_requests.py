"""What each call costs in requests: by hand, as S3's client sends them, and as the simulator counts them."""

from collections import Counter

import pytest

from pipeline.bench.counted_store import CountedBackend
from pipeline.store.objects import Store, open_store

CALLS = {
    "read": (lambda store: store.read("a/x"), {"GET": 1}),
    "find nothing": (lambda store: store.find("a/nothing"), {"GET": 1}),
    "exists": (lambda store: store.exists("a/x"), {"HEAD": 1}),
    "exists not": (lambda store: store.exists("a/nothing"), {"HEAD": 1}),
    "list": (lambda store: store.names("a"), {"LIST": 1}),
    "list nothing": (lambda store: store.names("nothing"), {"LIST": 1}),
    "list 1,203 keys": (lambda store: store.sizes("many"), {"LIST": 2}),
    "folders": (lambda store: store.folders(""), {"LIST": 1}),
    "write": (lambda store: store.write("a/y", b"1"), {"PUT": 1}),
    "create": (lambda store: store.create("a/once", b"1"), {"PUT": 1}),
    "create again": (lambda store: store.create("a/once", b"2"), {"PUT": 1, "GET": 1}),
    "delete": (lambda store: store.delete("a/once"), {"DELETE": 1}),
    "buffer": (lambda store: store.read_buffer("a/x"), {"HEAD": 1, "GET": 1}),
}


def fill(store):
    for name in ("a/x", *(f"many/{n}" for n in range(1203))):
        store.write(name, b"1")
    return store


@pytest.fixture(scope="module")
def on_s3(s3):
    store = fill(open_store(f"{s3}/requests"))
    store.exists("a/x")
    sent = Counter()

    def count(request, **_):
        sent["LIST" if "list-type=2" in request.url else request.method] += 1

    store.backend.fs._s3.meta.events.register("before-send.s3", count)
    yield store, sent
    store.backend.fs._s3.meta.events.unregister("before-send.s3", count)


@pytest.fixture(scope="module")
def in_memory():
    backend = CountedBackend(lambda _seconds: None, lambda: 0.0)
    return fill(Store(backend)), backend.requests


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", [pytest.param("on_s3", marks=pytest.mark.s3), "in_memory"])
def test_a_call_costs(request, kind, call):
    store, sent = request.getfixturevalue(kind)
    do, costs = CALLS[call]
    sent.clear()
    do(store)
    assert dict(sent) == costs
