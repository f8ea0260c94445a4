"""Laws of a store, on a folder and over HTTP: puts are whole, a put-if-absent has one winner, faults are waited out."""

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import StoreAway, StoreRefused, UserError
from pipeline.store import objects as store_module
from pipeline.store.faults import os_fault
from pipeline.store.objects import Store, open_store

RACER = Path(__file__).parents[1] / "support" / "race.py"


def test_what_is_written_is_read_and_listed(store):
    store.write("a/b/one", b"1")
    store.write("a/two", b"2")
    store.write("a/two", b"22")
    assert (store.read("a/b/one"), store.read("a/two")) == (b"1", b"22")
    assert store.names("a") == ["b/one", "two"]
    assert store.names("a/b") == ["one"]
    assert store.names("") == ["a/b/one", "a/two"]
    assert store.names("nothing") == []
    assert store.exists("a/two")
    assert not store.exists("a")
    assert not store.exists("a/tw")


def test_a_missing_object(store):
    assert store.find("no") is None
    assert store.find_json("no/no.json") is None
    with pytest.raises(FileNotFoundError):
        store.read("no")
    store.delete("no")


def test_create_refuses_to_replace(store):
    assert store.create("x", b"first")
    assert not store.create("x", b"second")
    assert store.read("x") == b"first"
    store.delete("x")
    assert store.create("x", b"second")


def test_a_create_whose_answer_was_lost_finds_itself(store):
    create = store.backend.create
    calls = []

    def lossy(path, data):
        create(path, data)
        calls.append(path)
        raise ConnectionResetError("the answer was lost")

    store.backend.create = lossy
    assert store.create("x", b"mine")
    assert len(calls) == 1  # the second call found the object, and it was ours


def test_another_process_sees_it_at_once(store):
    assert not store.exists("late")  # a listing cache would remember this
    code = f"from pipeline.store.objects import open_store; open_store({store.url!r}).write('late', b'here')"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert store.exists("late")
    assert store.names("") == ["late"]


def test_folders_are_those_directly_below(store):
    for path in ("top", "a/x", "a/b/x", "a/b/y", "a/c/d/x"):
        store.write(path, b"1")
    assert store.folders("") == {"a"}
    assert store.folders("a") == {"b", "c"}
    assert store.folders("a/b") == store.folders("nothing") == set()


@pytest.mark.parametrize(("processes", "rounds"), [(4, 20), pytest.param(8, 100, marks=pytest.mark.slow)])
def test_of_many_processes_one_wins_each_race(store_url, processes, rounds):
    open_store(store_url).write("there", b"")
    racers = [
        subprocess.Popen(
            [sys.executable, str(RACER), store_url, str(rounds), f"racer{n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(processes)
    ]
    try:
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * processes
        for number in range(rounds):
            for racer in racers:
                racer.stdin.write("go\n")
                racer.stdin.flush()
            said = [racer.stdout.readline().strip() for racer in racers]
            assert sorted(said) == ["lost"] * (processes - 1) + ["won"], number
            winner = said.index("won")
            assert open_store(store_url).read(f"race/{number}") == f"racer{winner}".encode() * 500
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()


def test_readers_see_the_old_or_the_new_object_never_a_part(tmp_path):
    store = open_store(str(tmp_path))
    bodies = {bytes([n]) * 2_000_000 for n in (1, 2)}
    store.write("x", next(iter(bodies)))
    stop = threading.Event()

    def rewrite():
        while not stop.is_set():
            for body in bodies:
                store.write("x", body)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        assert all(store.read("x") in bodies for _ in range(100))
    finally:
        stop.set()
        writer.join()


def test_a_put_that_dies_halfway_leaves_nothing(tmp_path, monkeypatch):
    store = open_store(str(tmp_path))
    store.write("x", b"old")

    def power_cut(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", power_cut)
    with pytest.raises(KeyboardInterrupt):
        store.write("x", b"new")
    assert store.read("x") == b"old"
    assert store.names("") == ["x"]


class Shaky:
    """A backend that fails so often before it answers."""

    url = "shaky"
    fault = staticmethod(os_fault)

    def __init__(self, failures, error):
        self.failures, self.error, self.calls = failures, error, 0

    def get(self, _path):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return b"at last"


def test_passing_faults_are_waited_out_with_growing_pauses(monkeypatch):
    pauses = []
    monkeypatch.setattr(store_module.time, "sleep", pauses.append)
    assert Store(Shaky(3, ConnectionError("reset"))).read("x") == b"at last"
    assert pauses == sorted(pauses)
    assert len(pauses) == 3
    with pytest.raises(StoreRefused, match="odd"):  # an error that is not known to pass is not waited for
        Store(Shaky(99, OSError("odd"))).read("x")


def test_a_store_that_is_away_is_waited_for_as_long_as_was_set_and_said_in_one_sentence():
    shaky = Shaky(99, ConnectionError("reset"))
    before = time.monotonic()
    with pytest.raises(StoreAway, match=r"^the store shaky has not answered for 1 s \(ConnectionError: reset\): check"):
        Store(shaky, patience=1).read("x")
    assert 1 <= time.monotonic() - before < 3
    assert shaky.calls >= 3


@pytest.mark.parametrize("error", [PermissionError("no"), FileNotFoundError("no"), OSError(28, "No space left")])
def test_lasting_faults_are_not(error):
    shaky = Shaky(99, error)
    with pytest.raises((FileNotFoundError, StoreRefused)):
        Store(shaky).read("x")
    assert shaky.calls == 1


@pytest.mark.parametrize("url", ["gs://bucket/x", "memory://x", "http://host/x", "s3://", "s3:/bucket", "S3://bucket"])
def test_a_store_that_cannot_be_trusted_with_a_race_is_refused(url):
    with pytest.raises(UserError):
        open_store(url)


def test_a_file_is_no_store_and_looking_makes_none(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        open_store(str(tmp_path / "file"))
    assert open_store(str(tmp_path / "new")).names("runs") == []
    assert not (tmp_path / "new").exists()
    assert open_store(f"file://{tmp_path}/url").url_of("x") == f"{tmp_path}/url/x"


@pytest.mark.s3
def test_pandas_and_arrow_read_what_we_wrote(s3):
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    from pipeline.store.s3 import filesystem

    store = open_store(f"{s3}/pull")
    out = io.BytesIO()
    pd.DataFrame({"error": [9.08]}).to_parquet(out)
    store.write("table.parquet", out.getvalue())
    assert pd.read_parquet(f"{s3}/pull/table.parquet")["error"].tolist() == [9.08]
    arrow = PyFileSystem(FSSpecHandler(filesystem()))
    assert arrow.get_file_info(f"{s3.removeprefix('s3://')}/pull/table.parquet").size == len(out.getvalue())


@pytest.mark.s3
def test_large_objects_too_are_created_once(s3):
    store = open_store(f"{s3}/large")
    body = bytes(101 * 2**20)  # past s3fs's limit for one put
    assert store.create("x", body)
    assert not store.create("x", b"other")
    assert len(store.read("x")) == len(body)
