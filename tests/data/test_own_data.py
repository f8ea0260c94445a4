"""Data of one's own: what is read is what lies there, pinned; what does not fit is a sentence."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data import prepare
from pipeline.data.own_data import own_dataset, place_of
from pipeline.data.sources import raw, reach
from pipeline.errors import UserError
from pipeline.paper.networks import TWELVE
from pipeline.paper.recipes import Scale, Whiten
from pipeline.plan.datasets import class_names
from pipeline.plan.experiment import experiment
from pipeline.plan.one_run import one_run
from pipeline.store.objects import open_store


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def arrays(side=12, shape=None, dtype=np.uint8, classes=3, **more):
    rng = np.random.default_rng(0)
    made = {}
    for part, count in (("train", 9), ("test", 6)):
        size = (count, *(shape or (side, side, 3)))
        made[f"{part}_images"] = rng.integers(0, 256, size).astype(dtype)
        made[f"{part}_labels"] = np.arange(count) % classes
    return made | more


def saved(tmp_path, name="letters.npz", **made):
    np.savez(tmp_path / name, **made)
    return f"npz:{tmp_path / name}"


def photographs(top, sizes=((20, 20), (40, 30), (16, 50))):
    """Three classes, red, green and blue; the first red one has 200 in its first channel."""
    for part, count in (("train", 3), ("val", 2)):
        for label, name in enumerate(("ruby", "moss", "sky")):
            (top / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                color = [0, 0, 0]
                color[label] = 200 + number
                Image.new("RGB", sizes[number], tuple(color)).save(top / part / name / f"{number}.png")
    return f"imagefolder:{top}"


def test_arrays_are_read_as_they_lie(tmp_path):
    made = arrays()
    found = own_dataset(saved(tmp_path, **made))
    assert (found.name, found.side, found.classes, found.train, found.test) == ("letters", 12, 3, 9, 6)
    data = raw(found)
    np.testing.assert_array_equal(data.train_images, made["train_images"].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(data.test_labels, made["test_labels"])
    assert data.sha256 == found.sha256
    channels_first = {k: v.transpose(0, 3, 1, 2) if "images" in k else v for k, v in made.items()}
    assert own_dataset(saved(tmp_path, "first.npz", **channels_first)).sha256 == found.sha256


def test_gray_images_get_three_channels_and_it_is_said(tmp_path):
    """With the names that Keras's mnist.npz has."""
    made = arrays(shape=(12, 12))
    keras = {
        "x_train": made["train_images"],
        "y_train": made["train_labels"],
        "x_test": made["test_images"],
        "y_test": made["test_labels"],
    }
    found, said = own_dataset(saved(tmp_path, **keras)), []
    data = raw(found, show=said.append)
    assert data.train_images.shape == (9, 3, 12, 12)
    np.testing.assert_array_equal(data.train_images[:, 2], made["train_images"])
    assert said == ["letters: gray images, repeated to three channels"]


def test_photographs_are_resized_and_classes_are_their_folders(tmp_path):
    found = own_dataset(photographs(tmp_path / "Stones & Skies"), side=16)
    assert (found.name, found.side, found.train, found.test) == ("stones-skies", 16, 9, 6)
    assert class_names(found) == ("moss", "ruby", "sky")
    data = raw(found)
    assert data.train_labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert data.train_images[3, :, 5, 5].tolist() == [200, 0, 0]  # ruby
    assert own_dataset(f"imagefolder:{tmp_path / 'Stones & Skies'}", side=24).sha256 == found.sha256


def test_pickles_as_cifars_are_read_and_programs_are_not(tmp_path):
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        rows = np.random.default_rng(len(name)).integers(0, 256, (6, 3 * 64)).astype(np.uint8)
        (tmp_path / name).write_bytes(pickle.dumps({"data": rows, "labels": [0, 1] * 3}))
    found = own_dataset(f"cifar:{tmp_path}", name="tiny")
    assert (found.name, found.side, found.train, found.test) == ("tiny", 8, 12, 6)
    (tmp_path / "test_batch").write_bytes(pickle.dumps({"data": os.system, "labels": []}))
    with pytest.raises(UserError, match=r"test_batch holds more than arrays and lists: it wants to call \w+.system"):
        own_dataset(f"cifar:{tmp_path}")


def test_a_digest_is_pinned_at_first_use_and_is_part_of_the_id(tmp_path):
    text = saved(tmp_path, **arrays())
    found = own_dataset(text)
    one = one_run(TWELVE["all-cnn-a"], found, epochs=1)
    assert experiment(one.plain()) == one
    assert one.id.startswith("all-cnn-a.letters.e1.lr0.05.s0.")
    assert one.id != replace(one, dataset=replace(found, sha256="0" * 64)).id
    os.utime(tmp_path / "letters.npz")
    assert own_dataset(text) == found  # touched, and the same
    saved(tmp_path, **arrays(classes=2))
    for again in (lambda: own_dataset(text), lambda: raw(found), lambda: reach(found, None)):
        with pytest.raises(UserError, match=r"no longer what it was at first use.*delete .*json"):
            again()
    place_of(found).pin.unlink()
    assert own_dataset(text).sha256 != found.sha256


def test_a_folder_whose_files_change_is_refused_and_a_damaged_file_is_named(tmp_path):
    text = photographs(tmp_path / "photos")
    found = own_dataset(text)
    assert reach(found, None) == (f"in {tmp_path / 'photos'}", "")
    (tmp_path / "photos/train/sky/9.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="no longer what it was"):
        own_dataset(text)
    place_of(found).pin.unlink()
    with pytest.raises(UserError, match=r"1 images of photos cannot be decoded: .*sky/9.png"):
        raw(own_dataset(text))


def test_it_is_prepared_whitened_or_scaled_and_read_back(tmp_path):
    found, store = own_dataset(saved(tmp_path, **arrays())), open_store(str(tmp_path / "store"))
    for how in (Whiten(), Scale()):
        prepare.make(store, found, how)
        assert prepare.load(store, found, how).test_pixels.images.shape == (6, 3, 12, 12)
    with pytest.raises(UserError, match=r"96 px takes a matrix of 6 GB.*--preprocess scale"):
        prepare.make(store, replace(found, side=96), Whiten())
    assert isinstance(one_run(TWELVE["all-cnn-a"], replace(found, side=96)).recipe.preprocess, Scale)


def test_more_photographs_than_memory_holds_lie_in_shards(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.data.own_data.IN_MEMORY", 1000)
    found, store = own_dataset(photographs(tmp_path / "photos"), side=16), open_store(str(tmp_path / "store"))
    assert found.shard == 256
    prepare.make(store, found, Scale())
    assert len(prepare.load(store, found, Scale()).train_pixels) == 9


def test_a_pin_that_is_just_being_written_is_not_called_damaged(tmp_path, monkeypatch):
    """Another process looks through all pins at that moment."""
    write, seen = Path.write_text, []

    def watched(file, text, *more):
        count = write(file, text[:20], *more)
        seen.append(place_of(elsewhere))
        return write(file, text, *more) + count

    elsewhere = replace(own_dataset(saved(tmp_path, **arrays())), sha256="0" * 64)
    monkeypatch.setattr(Path, "write_text", watched)
    own_dataset(saved(tmp_path, "others.npz", **arrays(classes=2)))
    assert seen == [None]


def test_where_it_lies_must_be_known_on_this_machine(tmp_path):
    found = replace(own_dataset(saved(tmp_path, **arrays())), sha256="1" * 64)
    for ask in (raw, lambda dataset: reach(dataset, None)):
        with pytest.raises(UserError, match="not known on this machine where the data set letters lies"):
            ask(found)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (arrays(dtype=np.float64), "unsigned bytes from 0 to 255 .uint8., not float64"),
        (arrays(shape=(12, 10, 3)), "must be square, not 12 x 10"),
        (arrays(shape=(12, 12, 4)), r"not \(9, 4, 12, 12\)|not \(9, 12, 12, 4\)"),
        (arrays(train_labels=np.arange(9.0)), "9 training images want as many whole numbers"),
        (arrays(train_labels=np.zeros(4, int)), "9 training images want as many whole numbers"),
        (arrays(train_labels=np.arange(9) % 3 + 1), "0, 1 and on without a gap, not 1, 2, 3"),
        (arrays(test_labels=np.full(6, 7)), "test labels 7 are in no training image"),
        (arrays(test_images=np.zeros((6, 10, 10, 3), np.uint8)), "differ in size"),
        ({"images": np.zeros(3)}, "no array train_images or x_train and .*: it has images"),
        (arrays(train_labels=np.array([{}] * 9)), "no .npz file of plain arrays"),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path, made, says):
    with pytest.raises(UserError, match=says):
        own_dataset(saved(tmp_path, **made))


def test_places_of_another_kind_are_refused(tmp_path):
    (tmp_path / "photos/train/a").mkdir(parents=True)
    (tmp_path / "file.npz").write_bytes(b"text")
    for text, side, says in (
        (f"imagefolder:{tmp_path / 'none'}", None, "nothing at"),
        (f"imagefolder:{tmp_path / 'photos'}", None, "has no folder val/"),
        (f"npz:{tmp_path / 'file.npz'}", None, "no .npz file"),
        (f"npz:{tmp_path / 'file.npz'}", 32, "keep their size"),
        (f"imagefolder:{tmp_path}", 4, "8 to 512"),
        (f"folder:{tmp_path}", None, "Did you mean imagefolder"),
        (f"cifar:{tmp_path}", None, "train cannot be read"),
        ("npz:", None, "npz:PATH"),
    ):
        with pytest.raises(UserError, match=says):
            own_dataset(text, side)
    (tmp_path / "photos/val").mkdir()
    with pytest.raises(UserError, match="has 0 classes with 0 images in train/ and 0 in val/"):
        own_dataset(f"imagefolder:{tmp_path / 'photos'}")
    assert not list(Path(tmp_path / "cache").rglob("*.json"))
