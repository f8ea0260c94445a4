"""Folders that are damaged or hold another version of CIFAR: it is said which, and what to do."""

import tarfile
from dataclasses import replace

import pytest
from support.processes import free_port
from support.small_cifar import FILES, SMALL, TWO, pack, read

from pipeline.data import cifar, download, sources
from pipeline.errors import UserError
from pipeline.plan.datasets import DATASETS


@pytest.fixture
def pinned(published, monkeypatch):
    """The same, each file pinned to its size and digest."""
    folder = published / TWO.folder
    one, two, test = (
        cifar.Pickle(f.name, (folder / f.name).stat().st_size, download.digest(folder / f.name)) for f in FILES
    )
    monkeypatch.setitem(cifar.FROM, "small", replace(TWO, train=(one, two), test=test))
    return published


def test_a_file_with_other_bytes_is_refused_by_name_with_both_digests(pinned):
    read(SMALL, pinned)
    file = pinned / TWO.folder / "data_batch_2"
    before, content = download.digest(file), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1  # a pixel
    file.write_bytes(content)
    assert cifar.find(SMALL, str(pinned)) == file.parent  # its size is right
    with pytest.raises(UserError) as refused:
        read(SMALL, pinned)
    text = str(refused.value)
    assert f"{file} is not the published file: expected SHA-256 {before[:16]}" in text
    assert f"found {download.digest(file)[:16]}" in text
    assert "Unpack the whole of the published cifar-10-python.tar.gz" in text


def test_a_file_of_another_length_is_found_without_reading_it(pinned):
    file = pinned / TWO.folder / "data_batch_2"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"data_batch_2 has {size - 1:,} bytes instead of {size:,}. Unpack"):
        cifar.find(SMALL, str(pinned))


def other_bytes(file):
    file.write_bytes(file.read_bytes()[:-1] + b"?")


def longer(file):
    file.write_bytes(file.read_bytes() + b"?")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda file: file.unlink(), "data_batch_2 cannot be read: No such file"),
        (longer, "data_batch_2 is not the published file"),
        (other_bytes, "data_batch_2 is not the published file"),
    ],
)
def test_a_damaged_folder_is_passed_over_for_the_archive_beside_it(pinned, monkeypatch, harm, says):
    whole, said = read(SMALL, pinned), []
    file = pinned / TWO.archive.name
    pack(pinned, monkeypatch, file)
    harm(pinned / TWO.folder / "data_batch_2")
    assert sources.reach(SMALL, str(pinned), digests=True)[0] == f"in {file}"
    assert sources.raw(SMALL, str(pinned), said.append).sha256 == whole.sha256
    [text] = said
    assert says in text
    assert text.endswith(f"Read from {file} instead.")


def test_digests_are_compared_where_asked_for(pinned):
    place = pinned / TWO.folder
    assert sources.reach(SMALL, str(pinned), digests=True) == (f"in {place}", "")
    other_bytes(place / TWO.test.name)
    assert sources.reach(SMALL, str(pinned)) == (f"in {place}", "")
    with pytest.raises(UserError, match=f"{place / TWO.test.name} is not the published file: expected SHA-256"):
        sources.reach(SMALL, str(pinned), digests=True)


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A data directory that holds something else, and no mirror that answers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("STRIVE_DATA_MIRROR", raising=False)
    nowhere = replace(TWO.archive, mirrors=(f"http://127.0.0.1:{free_port()}/file",))
    monkeypatch.setitem(cifar.FROM, "small", replace(TWO, archive=nowhere))
    top = tmp_path / "empty"
    top.mkdir()
    return top


def test_a_data_directory_without_the_data_set_is_said_before_and_after_a_download(empty):
    said = []
    assert sources.reach(SMALL, str(empty))[0].startswith(f"not in {empty}: to be downloaded")
    assert sources.reach(SMALL, None)[0].startswith("to be downloaded")
    with pytest.raises(UserError) as refused:
        sources.raw(SMALL, str(empty), said.append)
    assert said[0] == f"not in {empty}: cifar-10-python.tar.gz is downloaded, 170 MB"
    assert all(text.startswith(f"not in {empty}: ") for text in said)
    assert f"It is not in {empty} either: put it there" in str(refused.value)
    assert "with --data-dir" not in str(refused.value)


VERSIONS = {
    "cifar-10-batches-bin/data_batch_1.bin": "binary",
    "cifar-10-binary.tar.gz": "binary",
    "data_batch_1.bin": "binary",
    "cifar-10-batches-mat/data_batch_1.mat": "Matlab",
    "cifar-10-matlab.tar.gz": "Matlab",
    "data_batch_1.mat": "Matlab",
}


@pytest.mark.parametrize("name", VERSIONS)
def test_another_version_is_named_before_anything_is_downloaded(empty, name):
    file, said = empty / name, []
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"?")
    for top in {empty, file.parent}:
        for ask in (sources.reach, lambda dataset, top: sources.raw(dataset, top, said.append)):
            with pytest.raises(UserError, match=f"the {VERSIONS[name]} version of CIFAR-10; strive reads the Python"):
                ask(SMALL, str(top))
    assert said == []


def test_another_version_within_the_folder_of_this_one_is_named(empty):
    file = empty / TWO.folder / "data_batch_1.bin"
    file.parent.mkdir()
    file.write_bytes(b"?")
    with pytest.raises(UserError, match=r"lacks data_batch_1, .*it holds the binary version"):
        sources.reach(SMALL, str(empty))


def test_another_version_does_no_harm_where_the_cache_has_the_data_set(empty, published, monkeypatch):
    (empty / "cifar-10-batches-bin").mkdir()
    cached, said = download.cached(TWO.archive), []
    pack(published, monkeypatch, cached)
    sources.raw(SMALL, str(empty), said.append)
    where = empty / "cifar-10-batches-bin"
    assert said == [f"not in {empty} ({where} is of the binary version of CIFAR-10): read from {cached}"]


@pytest.mark.parametrize(
    ("name", "folder", "file"), [("cifar100", "cifar-100-binary", "train.bin"), ("cifar10", "", "data_batch_3.mat")]
)
def test_the_versions_of_the_published_data_sets(tmp_path, monkeypatch, name, folder, file):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    top = tmp_path / "data"
    (top / folder).mkdir(parents=True)
    (top / folder / file).write_bytes(b"?")
    with pytest.raises(UserError, match=r"the (binary|Matlab) version of CIFAR-"):
        sources.reach(DATASETS[name], str(top))


def test_a_data_directory_without_the_data_set_is_said_where_the_cache_has_it(empty, published, monkeypatch):
    file, said = download.cached(TWO.archive), []
    file.parent.mkdir(parents=True)
    with tarfile.open(file, "w:gz") as tar:
        tar.add(published / TWO.folder, TWO.folder)
    packed = replace(TWO, archive=replace(TWO.archive, sha256=download.digest(file)))
    monkeypatch.setitem(cifar.FROM, "small", packed)
    assert sources.reach(SMALL, str(empty))[0] == f"not in {empty}: in {file}"
    sources.raw(SMALL, str(empty), said.append)
    assert said == [f"not in {empty}: read from {file}"]
