"""CIFAR as it was published, read from folders and archives. Witnesses: torchvision's reader, the published counts."""

import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from support.real_data import real_data
from support.small_cifar import PARTS, SMALL, TWO, pack, read, write

from pipeline.data import cifar, cifar_files, download, sources
from pipeline.errors import UserError
from pipeline.plan.datasets import DATASETS, Dataset


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


def test_a_data_directory_that_is_none_is_refused(published):
    with pytest.raises(UserError, match="is no folder"):
        read(SMALL, published / "nowhere")


def test_other_images_than_pinned_are_refused(published):
    with pytest.raises(UserError, match="not the ones this study is about"):
        read(replace(SMALL, sha256="0" * 64), published)


@pytest.mark.slow
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
