"""Objects of a store in every state: what is read is a value, or our own error with the object's address."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzz import FEW, harmed, value_or_own_error

from pipeline.evaluation.verify import load_model, publish_float16
from pipeline.numerics.model import build
from pipeline.numerics.reference_loop import Epoch, Momentum
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import study
from pipeline.records import attempt, dataset, published, replication, result
from pipeline.records.record import SEAL, DamagedRecord, Record, to_json
from pipeline.records.result import Digests, Result
from pipeline.store.catalogue import read_experiment
from pipeline.store.objects import open_store, sha256
from pipeline.store.paths import RunFolder
from pipeline.training import checkpoint, history

ONE = study("smoke").experiments[0]
RUN = RunFolder(ONE.id)
MODEL = build(ONE.network)
WEIGHTS = checkpoint.weights(MODEL)
ROWS = [Epoch(n, 0.1, 1.5 / (n + 1), 5, 64, None if n else 4, None if n else 40, 0.5) for n in range(3)]
ADDRESS = "s3://bucket/object.json"
KINDS = sorted(
    {
        kind
        for room in (attempt, dataset, published, replication, result)
        for kind in vars(room).values()
        if isinstance(kind, type) and issubclass(kind, Record) and hasattr(kind, "REMEDY")
    },
    key=lambda kind: kind.__name__,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A run whose weights were kept, and rounded."""
    store = open_store(str(tmp_path_factory.mktemp("store")))
    store.write_json(RUN.experiment, ONE.plain())
    store.write(RUN.weights(1), WEIGHTS)
    store.write_record(RUN.result, done(sha256(WEIGHTS)))
    publish_float16(store, ONE.id)
    history.write(store, RUN, 1, ROWS)
    return store


def done(model: str) -> Result:
    weights = RUN.weights(1).removeprefix(f"{RUN.top}/")
    return Result(outcome="done", attempt=1, seen=9, weights=weights, digests=Digests(model=model))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@FEW
@given(data=st.data())
def test_records_of_fields_that_are_anything(kind, data):
    """Fields of the right names with any value; with and without a digest; and their bytes harmed."""
    fields = {field.name: data.draw(JSON) for field in dataclasses.fields(kind) if data.draw(st.booleans())}
    written = json.dumps(fields | ({SEAL: "f"} if data.draw(st.booleans()) else {})).encode()
    for content in (written, data.draw(harmed(written, to_json(RESULT)))):
        found: Any = value_or_own_error(ADDRESS, lambda content=content: kind.from_json(content, ADDRESS))
        assert found is None or kind.from_json(found.to_json(), ADDRESS) == found


RESULT = done("f" * 64).plain()


@pytest.mark.parametrize("text", [b'{"record_sha256": "f", "x": 1e999}', b'{"x": 1e999}', b"[" * 100_000, b"1" * 5000])
def test_numbers_and_depths_that_json_cannot_keep(text):
    with pytest.raises(DamagedRecord, match=ADDRESS):
        Result.from_json(text, ADDRESS)


@FEW
@given(data=st.data())
def test_experiments(store, data):
    harmed_run = data.draw(harmed(to_json(ONE.plain())) | st.builds(json.dumps, JSON).map(str.encode))
    store.write(RUN.experiment, harmed_run)
    try:
        found = value_or_own_error(store.url_of(RUN.experiment), lambda: read_experiment(store, ONE.id))
    finally:
        store.write_json(RUN.experiment, ONE.plain())
    assert found is None or (isinstance(found, Experiment) and found.id == ONE.id)


@FEW
@given(data=st.data())
def test_histories(store, data):
    path = RUN.history(2)
    store.write(path, data.draw(harmed(store.read(RUN.history(1)))))
    found = value_or_own_error(store.url_of(path), lambda: history.read(store, RUN, 2))
    assert all(isinstance(row, Epoch) for row in found or [])
    assert history.find(store, RUN, 2) == (found or [])


@FEW
@given(data=st.data())
def test_weights_that_have_the_digest_of_their_result(store, data):
    bad = data.draw(harmed(WEIGHTS))
    store.write(RUN.weights(1), bad)
    store.write_record(RUN.result, done(sha256(bad)))
    try:
        found = value_or_own_error(store.url_of(RUN.weights(1)), lambda: load_model(store, ONE.id))
    finally:
        store.write(RUN.weights(1), WEIGHTS)
        store.write_record(RUN.result, done(sha256(WEIGHTS)))
    assert found is None or not found.rounded


@FEW
@given(data=st.data())
def test_rounded_weights(store, data):
    whole = store.read(RUN.halved)
    store.delete(RUN.weights(1))
    store.write(RUN.halved, data.draw(harmed(whole)))
    try:
        found = value_or_own_error(store.url_of(RUN.halved), lambda: load_model(store, ONE.id))
    finally:
        store.write(RUN.halved, whole)
        store.write(RUN.weights(1), WEIGHTS)
    assert found is None or found.rounded


@FEW
@given(data=st.data())
def test_checkpoints_that_have_the_digest_of_their_note(store, data):
    """A checkpoint that cannot be read is left out, and said; none is an error."""
    optimizer = Momentum(MODEL, ONE.recipe)
    checkpoint.save(store, RUN, 1, 3, MODEL, optimizer)
    top = f"{RUN.attempt(1)}/checkpoint/3"
    note, bad = store.read_json(f"{top}.json"), data.draw(harmed(store.read(f"{top}.safetensors")))
    note = {name: field for name, field in note.items() if name != SEAL}
    store.write(f"{top}.safetensors", bad)
    store.write_json(f"{top}.json", note | {"sha256": sha256(bad)} | ({"part": data.draw(JSON)}))
    found = checkpoint.newest(store, RUN)
    assert found is None or found.epochs_done == 3
    store.write(f"{top}.json", data.draw(harmed(to_json(note))))
    found = checkpoint.newest(store, RUN)
    assert found is None or isinstance(found.epochs_done, int)
