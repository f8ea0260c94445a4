"""Photographs decoded as tasks on a cluster. Witnesses: the bytes that one process writes, and photographs that were
taken away once their shard was there: to decode them anew would fail."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from support.processes import free_port

from pipeline.data import preparation, prepare, write_shards
from pipeline.errors import UserError
from pipeline.paper.recipes import Scale
from pipeline.plan.datasets import Dataset
from pipeline.store.objects import open_store
from pipeline.store.paths import DatasetFolder

TINY = Dataset("tiny", 16, 3, 50, 14, None, shard=4)  # 13 shards of training images, 4 of test images
PLACE = DatasetFolder(TINY, Scale())
HERE = Dataset("imagenet", 256, 1_000, 1_281_167, 50_000, None, shard=256)


@pytest.fixture
def folder(tmp_path):
    """Photographs of three classes, losslessly, of odd sizes."""
    rng = np.random.default_rng(0)
    for part, count in (("train", TINY.train), ("val", TINY.test)):
        for n in range(count):
            file = tmp_path / "data" / "tiny" / part / f"n{n % 3}" / f"{n:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (20 + n, 85 - n, 3), np.uint8)).save(file)
    return tmp_path / "data"


@pytest.fixture
def expected(tmp_path, folder):
    """What one process writes."""
    store = open_store(str(tmp_path / "alone"))
    prepare.make(store, TINY, Scale(), str(folder))
    return contents(store)


def contents(store):
    return {name: store.read(name) for name in store.names("") if name.startswith("datasets/")}


def on_cluster(store, folder):
    return preparation.Preparation(TINY, Scale(), store.url, str(folder), workers=2)


def spoil(files):
    """Nothing of these can be decoded any more."""
    kept = {file: Path(file).read_bytes() for file in files}
    for file, data in kept.items():
        Path(file).write_bytes(bytes(len(data)))
    return kept


def shards(folder):
    """Every shard with its photographs, in the order of the data set."""
    made = []

    def note(_store, every):
        made.extend(every)
        return ((shard, write_shards.Made(None)) for shard in every)

    scratch = open_store(str(folder / "scratch"))
    write_shards.make(scratch, PLACE, TINY, str(folder), lambda _text: None, note)
    return made


def test_a_cluster_is_worth_it_where_one_is_joined_and_more_than_a_minute_is_missing(tmp_path, monkeypatch):
    """1,331,167 photographs at 278 a second are 4,788 s of a core: 80 s of 60 cores, 60 s of 80. What is there does
    not count: with 5,004 of the 5,005 shards of training images noted, 143 and 50,000 are left, 180 s of a core."""
    store = open_store(str(tmp_path))
    monkeypatch.setattr(preparation, "cores", lambda: 60)
    assert preparation.is_small(store, HERE, Scale())  # nothing is joined
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert not preparation.is_small(store, HERE, Scale())
    monkeypatch.setattr(preparation, "cores", lambda: 81)
    assert preparation.is_small(store, HERE, Scale())
    monkeypatch.setattr(preparation, "cores", lambda: 4)
    assert not preparation.is_small(store, HERE, Scale())
    assert preparation.is_small(store, Dataset("digits", 32, 10, 10**9, 1, None), Scale())  # no shards
    place = DatasetFolder(HERE, Scale())
    for number in range(5_004):
        path = tmp_path / place.object(write_shards.note_of(write_shards.name("train", number)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert write_shards.missing(store, place, HERE) == 1_281_167 - 5_004 * 256 + 50_000
    assert preparation.is_small(store, HERE, Scale())


def test_a_shard_whose_maker_was_stopped_before_the_note_is_not_decoded_again(tmp_path, folder, expected):
    store = open_store(str(tmp_path / "store"))
    first = shards(folder)[0]
    store.create(first.path, expected[first.path])
    kept = spoil(first.files)
    prepare.make(store, TINY, Scale(), str(folder))
    assert contents(store) == expected
    assert all(Path(file).read_bytes() != data for file, data in kept.items())


def test_a_host_that_does_not_see_the_photographs_or_sees_others_says_so_in_a_sentence(folder):
    file = folder / "tiny" / "train" / "n0" / "000.png"
    size = file.stat().st_size
    assert preparation.blind(((str(file), size),)) == ""
    assert f"sees another {file} than this machine: it has {size:,} bytes there and 1 here" in preparation.blind(
        ((str(file), 1),)
    )
    file.unlink()
    said = preparation.blind(((str(file), size),))
    assert f"does not see the photographs of {folder / 'tiny'} ({file}: No such file or directory)" in said
    assert "\n" not in said


@pytest.mark.ray
def test_tasks_write_the_bytes_that_one_process_writes(tmp_path, folder, expected):
    store = open_store(str(tmp_path / "store"))
    with on_cluster(store, os.path.relpath(folder)) as at_work:
        assert at_work.wait() == PLACE.top
    found = contents(store)
    found.pop(PLACE.news, None)
    assert found == expected


@pytest.mark.ray
@pytest.mark.slow
def test_a_damaged_photograph_is_named_in_a_sentence_and_all_other_shards_are_kept(tmp_path, folder, expected):
    store = open_store(str(tmp_path / "store"))
    bad = shards(folder)[5]
    kept = spoil(bad.files[1:3])
    with on_cluster(store, folder) as at_work, pytest.raises(UserError) as refused:
        at_work.wait()
    assert str(refused.value).startswith(f"2 images of tiny cannot be decoded: {bad.files[1]}: UnidentifiedImageError")
    assert f"; {bad.files[2]}: " in str(refused.value)
    assert "(on the Ray node " in str(refused.value)
    assert not store.exists(PLACE.manifest)
    there = contents(store)
    assert {name for name in expected if name not in there} == {PLACE.manifest, bad.path, bad.note}
    for file, data in kept.items():
        Path(file).write_bytes(data)
    for shard in shards(folder):
        if shard.path != bad.path:
            spoil(shard.files)
    with on_cluster(store, folder) as at_work:
        at_work.wait()
    found = contents(store)
    found.pop(PLACE.news, None)
    assert found == expected


@pytest.mark.ray
@pytest.mark.slow
def test_a_preparation_that_was_killed_goes_on_from_the_shards_that_are_there(tmp_path, folder):
    """Of large photographs, so that there is time to kill driver and workers once three shards are there."""
    for n, file in enumerate(sorted(folder.rglob("*.png"))):
        Image.new("RGB", (2500, 2000), (n, 2 * n, 255 - n)).save(file)
    alone, store = open_store(str(tmp_path / "alone")), open_store(str(tmp_path / "store"))
    prepare.make(alone, TINY, Scale(), str(folder))
    every = shards(folder)
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, store.url, str(folder)], start_new_session=True)
    until = time.monotonic() + 120
    while sum(store.exists(shard.note) for shard in every) < 3:
        assert driver.poll() is None, "it ended"
        assert time.monotonic() < until
        time.sleep(0.01)
    family = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    driver.wait()
    psutil.wait_procs(family, 30)
    there = {name: (tmp_path / "store" / name).stat() for name in contents(store) if name != PLACE.news}
    done = [shard for shard in every if shard.path in there]
    assert 3 <= len(done) < len(every)
    for shard in done:
        spoil(shard.files)
    with on_cluster(store, folder) as at_work:
        at_work.wait()
    found = contents(store)
    found.pop(PLACE.news, None)
    assert found == contents(alone)
    for name, before in there.items():
        after = (tmp_path / "store" / name).stat()
        assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


DRIVER = """
import sys
from pipeline.data.preparation import Preparation
from pipeline.paper.recipes import Scale
from pipeline.plan.datasets import Dataset
Preparation(Dataset("tiny", 16, 3, 50, 14, None, shard=4), Scale(), sys.argv[1], sys.argv[2], 2).wait()
"""


@pytest.mark.ray
@pytest.mark.ci
def test_a_host_without_the_folder_is_named_before_anything_is_decoded(tmp_path, folder, monkeypatch):
    """A head in a mount namespace of its own, in which an empty folder lies over that of the photographs."""
    inside = ["unshare", "--mount", "--map-root-user"] if os.getuid() else ["unshare", "--mount"]
    hide = f"mount -t tmpfs none {folder}"
    if shutil.which("unshare") is None or subprocess.run([*inside, "sh", "-c", hide], check=False).returncode:
        pytest.skip("no mount namespaces here")
    store, home = open_store(str(tmp_path / "store")), tempfile.mkdtemp(prefix="ray", dir="/tmp")
    port = free_port()
    start = f"{Path(sys.executable).with_name('ray')} start --head --block --port={port} --num-cpus=2"
    start += f" --include-dashboard=false --temp-dir={home} --disable-usage-stats --node-ip-address=127.0.0.1"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    head = subprocess.Popen([*inside, "sh", "-c", f"{hide} && exec {start}"], start_new_session=True)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    try:
        with on_cluster(store, folder) as at_work, pytest.raises(UserError) as refused:
            at_work.wait()
    finally:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait(60)
        shutil.rmtree(home, ignore_errors=True)
    assert str(refused.value).startswith("the Ray node ")
    assert f"does not see the photographs of {folder / 'tiny'} (" in str(refused.value)
    assert "every node must have that folder at the same path" in str(refused.value)
    assert not [name for name in store.names(PLACE.top) if "/" in name]
