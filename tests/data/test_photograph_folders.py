"""Folders of photographs: what is left out of them, what is missing, and what is said of it."""

import shutil
from contextlib import suppress

import pytest
from support.tiny_photographs import TINY, photographs

from pipeline.data import imagenet, prepare, sources
from pipeline.errors import UserError
from pipeline.paper.recipes import Scale
from pipeline.store.objects import open_store


@pytest.fixture
def folder(tmp_path):
    return photographs(tmp_path / "data")


RUBBISH = {
    "train/.ipynb_checkpoints/000.png": "a copy",
    "train/__MACOSX/n0/._000.png": "a shadow",
    "val/.DS_Store": "an index",
    "train/n1/._001.png": "a shadow",
    "train/n1/Thumbs.db": "thumbnails",
    "val/n2/.ipynb_checkpoints/002.png": "a copy",
    "train/notes/read me.txt": "a text",
    "val/lost+found/x": "a remnant",
}


def drop(folder, names):
    for name in names:
        file = folder / "tiny" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(RUBBISH[name])


def test_hidden_and_foreign_files_and_folders_are_left_out(folder):
    whole = imagenet.listed(TINY, str(folder))
    drop(folder, RUBBISH)
    assert imagenet.listed(TINY, str(folder)) == whole


@pytest.mark.parametrize("name", RUBBISH)
def test_what_was_left_out_is_named_where_the_numbers_are_wrong(folder, name):
    drop(folder, [name])
    next((folder / "tiny" / "train").glob("n0/*")).unlink()
    top = "/".join(name.split("/")[: 3 if name.startswith(("train/n1", "val/n2")) else 2])
    with pytest.raises(UserError, match=r"found 24 of 3; (left out|without images): ") as refused:
        imagenet.listed(TINY, str(folder))
    assert top in str(refused.value)


def test_classes_of_one_part_alone_are_named(folder):
    (folder / "tiny" / "val" / "n2").rename(folder / "tiny" / "val" / "tench")
    with pytest.raises(UserError, match="in train/ alone: n2; in val/ alone: tench"):
        imagenet.listed(TINY, str(folder))


def test_a_flat_folder_of_validation_images_is_answered_with_how_to_sort_them(folder, monkeypatch):
    val = folder / "tiny" / "val"
    for file in list(val.glob("*/*.png")):
        file.rename(val / f"ILSVRC2012_val_{file.stem}.JPEG")
        with suppress(OSError):
            file.parent.rmdir()
    for ask in (sources.reach, imagenet.listed):
        with pytest.raises(UserError, match=f"the images in {val} lie in no folders of classes.*valprep.sh"):
            ask(TINY, str(folder))


def test_archives_of_classes_are_to_be_unpacked(folder):
    train = folder / "tiny" / "train"
    shutil.rmtree(train)
    train.mkdir()
    (train / "n01440764.tar").write_bytes(b"?")
    with pytest.raises(UserError, match=f"{train} holds archives such as n01440764.tar: unpack each"):
        sources.reach(TINY, str(folder))


def test_photographs_are_counted_where_digests_are_asked_for(folder):
    assert sources.reach(TINY, str(folder), digests=True) == (f"in {folder / 'tiny'}", "")
    next((folder / "tiny" / "val").glob("n0/*")).unlink()
    assert sources.reach(TINY, str(folder)) == (f"in {folder / 'tiny'}", "")
    with pytest.raises(UserError, match="found 6 of 3"):
        sources.reach(TINY, str(folder), digests=True)


@pytest.mark.parametrize(("harm", "says"), [("file", "found 24 of 3"), ("class", "of 2"), ("folder", "holds no such")])
def test_a_folder_that_is_not_whole_is_refused(tmp_path, folder, harm, says):
    train = folder / "tiny" / "train"
    if harm == "file":
        next(train.glob("n0/*")).unlink()
    else:
        shutil.rmtree(train / "n2" if harm == "class" else train)
    store = open_store(str(tmp_path / "store"))
    with pytest.raises(UserError, match=says):
        prepare.make(store, TINY, Scale(), str(folder))
    assert store.names("") == []
