"""CIFAR as it was published, read from folders and archives. Witnesses: torchvision's reader, the published counts."""

import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from support.processes import free_port
from support.real_data import real_data

from pipeline.data import cifar, cifar_files, download, sources
from pipeline.errors import UserError
from pipeline.plan.datasets import DATASETS, Dataset

RNG = np.random.default_rng(0)
PARTS = [(RNG.integers(0, 256, (4, 3072), np.uint8), RNG.integers(0, 10, 4).tolist()) for _ in range(3)]
FILES = tuple(cifar.Pickle(name) for name in ("data_batch_1", "data_batch_2", "test_batch"))
TWO = replace(cifar.C10, train=FILES[:2], file_images=4, test=FILES[2], test_images=4)
SMALL = Dataset("small", 32, 10, 8, 4, None)


def write(folder, name, data, labels, key="labels"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(pickle.dumps({"data": data[::-1][::-1], key: labels}, 4))


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Two training files of four images and a test file, as a data directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("small", "half", "held-out"):
        monkeypatch.setitem(cifar.FROM, name, TWO)
    monkeypatch.setattr(cifar, "HELD_OUT", {"held-out"})
    top = tmp_path / "data"
    for file, part in zip(FILES, PARTS, strict=True):
        write(top / TWO.folder, file.name, *part)
    return top


def read(dataset, top):
    return sources.raw(dataset, str(top))


def images(*parts):
    return np.concatenate([PARTS[n][0] for n in parts]).reshape(-1, 3, 32, 32)


def test_files_are_read_in_their_published_order(published):
    found = read(SMALL, published)
    assert np.array_equal(found.train_images, images(0, 1))
    assert found.train_labels.tolist() == PARTS[0][1] + PARTS[1][1]
    assert np.array_equal(found.test_images, images(2))
    assert found.test_labels.tolist() == PARTS[2][1]


def test_a_part_is_the_first_images_and_files_beyond_it_are_not_needed(published):
    (published / TWO.folder / "data_batch_2").unlink()
    found = read(Dataset("half", 32, 10, 3, 2, None), published)
    assert np.array_equal(found.train_images, images(0)[:3])
    assert np.array_equal(found.test_images, images(2)[:2])


def test_held_out_images_are_the_last_training_images_and_the_test_file_is_not_read(published):
    (published / TWO.folder / TWO.test.name).unlink()
    found = read(Dataset("held-out", 32, 10, 6, 2, None), published)
    assert np.array_equal(np.concatenate([found.train_images, found.test_images]), images(0, 1))
    assert found.test_labels.tolist() == PARTS[1][1][2:]


def test_the_folder_itself_may_be_named(published):
    assert read(SMALL, published / TWO.folder).sha256 == read(SMALL, published).sha256


def test_the_archive_may_lie_in_the_data_directory_or_in_the_cache(published, monkeypatch, tmp_path):
    unpacked = read(SMALL, published)
    file = tmp_path / "archives" / TWO.archive.name
    file.parent.mkdir()
    with tarfile.open(file, "w:gz") as tar:
        tar.add(published / TWO.folder, TWO.folder)
    packed = replace(TWO, archive=replace(TWO.archive, sha256=download.digest(file)))
    monkeypatch.setitem(cifar.FROM, "small", packed)
    assert read(SMALL, file.parent).sha256 == unpacked.sha256
    cached = download.cached(packed.archive)
    cached.parent.mkdir(parents=True)
    file.rename(cached)
    assert cifar.find(SMALL, None) == cached
    assert sources.raw(SMALL).sha256 == unpacked.sha256
    cached.write_bytes(cached.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{cached} is not the published.*Delete it and run again"):
        sources.raw(SMALL)


def pack(published, monkeypatch, file):
    """The archive of the published folder as a file, and the data set "small" pinned to it; returns the archive."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as tar:
        tar.add(published / TWO.folder, TWO.folder)
    archive = replace(TWO.archive, bytes=file.stat().st_size, sha256=download.digest(file))
    monkeypatch.setitem(cifar.FROM, "small", replace(cifar.FROM["small"], archive=archive))
    return archive


def test_an_archive_that_was_renamed_is_known_by_its_size(published, monkeypatch, tmp_path):
    unpacked = read(SMALL, published)
    pack(published, monkeypatch, tmp_path / "other" / "cifar-10-python (1).tar.gz")
    assert read(SMALL, tmp_path / "other").sha256 == unpacked.sha256


@pytest.mark.parametrize("place", ["cifar", f"cifar-10-python/{TWO.folder}"])
def test_a_folder_under_another_name_or_in_one_named_after_the_archive_is_read(published, tmp_path, place):
    unpacked = read(SMALL, published)
    moved = tmp_path / "moved" / place
    moved.parent.mkdir(parents=True)
    (published / TWO.folder).rename(moved)
    top = moved if place == "cifar" else tmp_path / "moved"
    assert cifar.find(SMALL, str(top)) == moved
    assert read(SMALL, top).sha256 == unpacked.sha256


def test_a_file_in_place_of_a_data_directory_is_answered_with_its_folder(published):
    file = published / TWO.folder / TWO.test.name
    with pytest.raises(UserError, match=f"names the file {file}: name its folder {file.parent} instead"):
        read(SMALL, file)


def test_a_damaged_archive_of_the_users_is_never_to_be_deleted(published, monkeypatch, tmp_path):
    file = tmp_path / "archives" / TWO.archive.name
    pack(published, monkeypatch, file)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    for ask in (read, lambda dataset, top: sources.reach(dataset, str(top))):
        with pytest.raises(UserError, match=f"{file} is not the published .* Download it again from https") as refused:
            ask(SMALL, file.parent)
        assert "delete" not in str(refused.value).lower()


def damage(folder, how):
    file = folder / "data_batch_2"
    data, labels = PARTS[1]
    match how:
        case "gone":
            file.unlink()
        case "cut":
            file.write_bytes(file.read_bytes()[:-100])
        case "poisoned":
            file.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
        case "a list":
            file.write_bytes(pickle.dumps([1]))
        case "fewer images":
            write(folder, "data_batch_2", data[:3], labels[:3])
        case "floats":
            write(folder, "data_batch_2", data.astype("f4"), labels)
        case "another key":
            write(folder, "data_batch_2", data, labels, "coarse_labels")
        case "a class too many":
            write(folder, "data_batch_2", data, [*labels[:3], 10])


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("gone", "No such file"),
        ("cut", "no whole pickle"),
        ("poisoned", "wants to call os.system"),
        ("a list", "found no array"),
        ("fewer images", r"found uint8 of shape \(3, 3072\)"),
        ("floats", "found float32"),
        ("another key", "found other labels"),
        ("a class too many", "found other labels"),
    ],
)
def test_what_is_wrong_is_said_with_the_file_and_what_to_do(published, how, found):
    damage(published / TWO.folder, how)
    with pytest.raises(UserError, match=found) as refused:
        read(SMALL, published)
    text = str(refused.value)
    assert str(published / TWO.folder / "data_batch_2") in text
    assert how in ("gone",) or "expected 4 images of 3,072 bytes" in text
    assert "--data-dir" in text


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


def test_a_data_directory_that_is_none_is_refused(published):
    with pytest.raises(UserError, match="is no folder"):
        read(SMALL, published / "nowhere")


def test_other_images_than_pinned_are_refused(published):
    with pytest.raises(UserError, match="not the ones this study is about"):
        read(replace(SMALL, sha256="0" * 64), published)


def test_the_published_test_images_of_cifar_10(pytestconfig):
    """A thousand of each class, and the first is the cat that everybody knows."""
    folder = real_data(pytestconfig, "cifar-10-batches-py/test_batch") / "cifar-10-batches-py"
    files = cifar_files.Files(str(folder), lambda name: (folder / name).read_bytes())
    found, labels = cifar._first(10_000, cifar.C10, (cifar.C10.test,), 10_000, files)
    assert np.bincount(labels).tolist() == [1000] * 10
    assert labels[:4].tolist() == [3, 8, 8, 0]  # cat, ship, ship, airplane
    assert found[0, :, 0, 0].tolist() == [158, 112, 49]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_pins_are_of_the_published_data_as_torchvision_reads_it(name, pytestconfig):
    from torchvision import datasets

    top = real_data(pytestconfig, cifar.FROM[name].folder)
    theirs = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    ours = sources.raw(DATASETS[name], str(top))
    for part, found, labels in (
        (theirs(top, train=True), ours.train_images, ours.train_labels),
        (theirs(top, train=False), ours.test_images, ours.test_labels),
    ):
        assert np.array_equal(part.data.transpose(0, 3, 1, 2), found)
        assert part.targets == labels.tolist()


@pytest.mark.slow
def test_the_parts_of_cifar_10_are_parts_of_it(pytestconfig):
    top = str(real_data(pytestconfig, "cifar-10-batches-py"))
    whole, few, held = (sources.raw(DATASETS[name], top) for name in ("cifar10", "cifar10-2000", "cifar10-held-out"))
    assert np.array_equal(few.train_images, whole.train_images[:2000])
    assert np.array_equal(few.test_labels, whole.test_labels[:1000])
    assert np.array_equal(held.test_images, whole.train_images[45_000:])
    assert np.array_equal(held.train_labels, whole.train_labels[:45_000])
