"""Photographs in shards. Witnesses: Pillow and numpy on single files, the same images held in memory, laws of order."""

import resource
import shutil
import struct
import sys
import zlib
from contextlib import suppress

import numpy as np
import pytest
import torch
from PIL import Image
from support.counted import counted
from support.real_data import photographs as real_photographs

from pipeline.data import imagenet, photograph, prepare, read_shards, sources
from pipeline.data.read_shards import Shards
from pipeline.errors import UserError
from pipeline.numerics.loader import Images, Loader
from pipeline.paper.augmentations import Crop
from pipeline.paper.recipes import Recipe, Scale, Whiten
from pipeline.plan.datasets import Dataset
from pipeline.store.objects import open_store
from pipeline.store.paths import DatasetFolder

TINY = Dataset("tiny", 16, 3, 25, 7, None, shard=4)
RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path):
    """25 training and 7 test photographs of three classes, losslessly, of odd sizes."""
    for part, count in (("train", 25), ("val", 7)):
        for n in range(count):
            file = tmp_path / "data" / "tiny" / part / f"n{n % 3}" / f"{n:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(RNG.integers(0, 256, (20 + n, 45 - n, 3), np.uint8)).save(file)
    return tmp_path / "data"


@pytest.fixture
def made(tmp_path, folder):
    store = open_store(str(tmp_path / "store"))
    prepare.make(store, TINY, Scale(), str(folder))
    return store


def everything(source):
    return source.take(torch.arange(len(source)))


def test_a_photograph_is_shrunk_to_its_short_side_and_cut_in_the_middle(tmp_path):
    # 40 x 20, halves of one color each: after shrinking by 2 the middle 10 x 10 are columns 5 to 14
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, 20:] = 200
    Image.fromarray(wide).save(tmp_path / "wide.png")
    out = photograph.square(tmp_path / "wide.png", 10)
    assert out.shape == (10, 10, 3)
    assert (out[:, :4] == 0).all()
    assert (out[:, 6:] == 200).all()
    # 6 -> 2: bilinear with antialias is a triangle 6 pixels wide around the new pixel's middle, cut off at the border
    ramp = np.repeat(np.arange(6, dtype=np.uint8)[:, None, None] * 36, 6, 1).repeat(3, 2)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    x = np.arange(6) + 0.5
    weights = np.maximum(0, 1 - np.abs(x - 1.5) / 3)
    expected = round(float((weights / weights.sum() * ramp[:, 0, 0]).sum()))
    assert photograph.square(tmp_path / "ramp.png", 2)[0, 0].tolist() == [expected] * 3


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_kind_of_photograph_becomes_rgb(tmp_path, mode):
    file = tmp_path / f"x.{'jpg' if mode == 'CMYK' else 'png'}"
    Image.fromarray(RNG.integers(0, 256, (30, 30, 3), np.uint8)).convert(mode).save(file)
    assert photograph.square(file, 8).shape == (8, 8, 3)


GRAY = np.arange(30 * 30, dtype=np.float64).reshape(30, 30) / 899  # black to white


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("16 bits.png", lambda: Image.fromarray(np.round(GRAY * 65535).astype(np.uint16))),
        ("16 bits.tif.png", lambda: Image.fromarray(np.round(GRAY * 65535).astype(np.uint16))),
        ("16 bits from high to low.tif.png", lambda: Image.fromarray(np.round(GRAY * 65535).astype(">u2"))),
        ("8 bits.png", lambda: Image.fromarray(np.round(GRAY * 255).astype(np.uint8))),
        ("with alpha.png", lambda: Image.fromarray(np.round(GRAY * 255).astype(np.uint8)).convert("LA")),
    ],
)
def test_gray_photographs_of_any_depth_keep_their_shades(tmp_path, name, photo):
    photo().save(tmp_path / name, format="TIFF" if ".tif" in name else None)
    out = photograph.square(tmp_path / name, 30)
    assert np.abs(out[..., 0] - GRAY * 255).max() <= 1
    assert (out == out[..., :1]).all()


def test_a_strip_takes_the_memory_of_a_photograph(tmp_path):
    """2 x 20,000 pixels, resized whole to 256 x 2,560,000, are 2 GB; the middle is the same."""
    strip = RNG.integers(0, 256, (20_000, 2, 3), np.uint8)
    for name, pixels in (("long", strip), ("wide", strip.transpose(1, 0, 2))):
        file = tmp_path / f"{name}.png"
        Image.fromarray(np.ascontiguousarray(pixels)).save(file)
        before = peak_memory()
        out = photograph.square(file, 256)
        assert peak_memory() - before < 100_000_000
        assert out.shape == (256, 256, 3)
    short = Image.fromarray(strip[9980:10_020]).resize((64, 1280), Image.Resampling.BILINEAR)
    expected = np.asarray(short.crop((0, 608, 64, 672)))
    assert np.abs(photograph.square(tmp_path / "long.png", 64).astype(int) - expected).max() <= 1


def peak_memory():
    """Bytes of this process at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("size", [(100_000, 100_000), (20_000, 5_000)])
def test_more_pixels_than_fit_are_refused_before_they_are_decoded(tmp_path, size):
    """A PNG of a few bytes: its header alone says how large it is."""
    header = struct.pack(">II5B", *size, 8, 2, 0, 0, 0)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    file = tmp_path / "bomb.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))))
    [(named, wrong)] = photograph.decoded([file], 8)
    assert named == file
    assert "pixels" in wrong or "DecompressionBomb" in wrong


@pytest.mark.parametrize(
    "error", [NotImplementedError, SyntaxError, IndexError, KeyError, MemoryError, ZeroDivisionError]
)
def test_whatever_a_reader_raises_is_said_of_its_file(tmp_path, monkeypatch, error):
    def refuse(*_, **__):
        raise error("out of its depth")

    monkeypatch.setattr(Image, "open", refuse)
    assert list(photograph.decoded([tmp_path / "x.png"], 8)) == [
        (tmp_path / "x.png", f"{error.__name__}: {error('out of its depth')}")
    ]


@pytest.mark.parametrize("kind", ["DDS", "EPS", "a float", "32 bits"])
def test_what_is_no_photograph_whatever_its_name_is_refused(tmp_path, kind):
    file = tmp_path / "x.jpeg"
    if kind == "DDS":
        Image.new("RGB", (8, 8)).save(file, format="DDS")
    elif kind == "EPS":
        Image.new("RGB", (8, 8)).save(file, format="EPS")
    else:
        Image.new("F" if kind == "a float" else "I", (8, 8), 300).save(file, format="TIFF")
    [(_, wrong)] = photograph.decoded([file], 8)
    assert ("which of them is white is not known" in wrong) == (kind in ("a float", "32 bits"))
    assert isinstance(wrong, str)


def test_shards_hold_every_photograph_once_with_its_class(made, folder):
    data = prepare.load(made, TINY, Scale())
    files = sorted((folder / "tiny").glob("val/*/*.png"))
    images, labels = everything(data.test)
    expected = np.stack([photograph.square(file, 16) for file in files]).transpose(0, 3, 1, 2)
    assert np.array_equal(images, expected)
    assert labels.tolist() == [int(file.parent.name[1:]) for file in files]
    images, labels = everything(data.train)
    found = sorted((image.numpy().tobytes(), int(label)) for image, label in zip(images, labels, strict=True))
    train = (folder / "tiny").glob("train/*/*.png")
    square = ((photograph.square(file, 16).transpose(2, 0, 1), int(file.parent.name[1:])) for file in train)
    assert found == sorted((image.tobytes(), label) for image, label in square)
    assert labels.tolist() != sorted(labels.tolist())


def test_shards_feed_what_memory_feeds_on_any_number_of_workers(made):
    data = prepare.load(made, TINY, Scale())
    recipe = Recipe(lr=0.1, batch=6, epoch_images=40, preprocess=Scale(), augment=Crop(window=12))

    class Known(Images):
        def order(self, seed, passage, streams):
            return data.train.order(seed, passage, streams)

    sharded, _ = data.feeds(recipe)
    memory = Loader(Known(*everything(data.train)), recipe, sharded.finish)
    for epoch in (0, 1, 2):  # 40 of 25 images: passes begin within an epoch
        expected = list(memory.training_batches(5, epoch))
        for workers in (1, 2, 3):
            shares = [list(sharded.training_batches(5, epoch, rank, workers)) for rank in range(workers)]
            for step, (images, labels, places) in enumerate(expected):
                parts = [share[step] for share in shares]
                for rank, (theirs, classes, where) in enumerate(parts):
                    assert torch.equal(theirs, images[rank::workers])
                    assert torch.equal(classes, labels[rank::workers])
                    assert torch.equal(where, places[rank::workers])


def test_a_pass_is_a_shuffle_of_everything_and_a_function_of_seed_and_passage():
    source, _, _ = counted()
    one = source.order(1, 0)
    assert sorted(one.tolist()) == list(range(100))
    assert torch.equal(one, counted()[0].order(1, 0))
    assert not torch.equal(one, source.order(1, 1))
    assert not torch.equal(one, source.order(2, 0))
    steps = one.diff()
    assert (steps == 1).float().mean() < 0.1


def test_a_pass_reads_every_shard_once_and_holds_two_windows(monkeypatch):
    monkeypatch.setattr(read_shards, "WINDOW", 4)
    source, reads, most = counted(400, 5)
    for passage in range(2):
        order = source.order(0, passage)
        source.order(0, passage + 1)  # as an epoch that ends in the next pass does
        for index in order.split(7):
            images, labels = source.take(index)
            assert images.flatten().tolist() == index.tolist() == labels.tolist()
        # what was read ahead at the end of a pass is one window of the next at most
        assert len(reads) <= (passage + 1) * 80 + 4
    assert set(reads) == set(range(80))
    assert most[0] <= 3 * 4


def test_an_evaluation_reads_in_order_and_once():
    source, reads, most = counted(200, 5)
    for index in torch.arange(200).split(12):
        assert torch.equal(source.take(index)[1], index)
    assert sorted(reads) == list(range(40))
    assert most[0] <= 3 * read_shards.AHEAD


def test_a_shard_that_could_not_be_read_is_tried_again():
    tries = []

    def read(number):
        tries.append(number)
        if len(tries) == 1:
            raise OSError("away")
        return torch.zeros(5, 1, 1, 1)

    source = Shards(read, torch.zeros(5), 5)
    with pytest.raises(OSError, match="away"):
        source.take(torch.arange(2))
    assert len(source.take(torch.arange(2))[0]) == 2


def test_damaged_photographs_are_named_before_training_and_good_shards_kept(tmp_path, folder):
    store = open_store(str(tmp_path / "store"))
    bad = sorted((folder / "tiny").glob("train/*/*.png"))[3:5]
    good = {file: file.read_bytes() for file in bad}
    bad[0].write_bytes(good[bad[0]][:-400])
    bad[1].write_bytes(b"<html>")
    with pytest.raises(UserError) as refused:
        prepare.make(store, TINY, Scale(), str(folder))
    assert all(str(file) in str(refused.value) for file in bad)
    top = DatasetFolder(TINY, Scale())
    assert not store.exists(top.manifest)
    before = {name: store.read(top.object(name)) for name in store.names(top.top)}
    assert len(before) > 10
    for file, content in good.items():
        file.write_bytes(content)
    prepare.make(store, TINY, Scale(), str(folder))
    assert before.items() <= {name: store.read(top.object(name)) for name in store.names(top.top)}.items()


def test_a_shard_that_is_there_is_not_made_again(tmp_path, folder, monkeypatch):
    store = open_store(str(tmp_path / "store"))
    decoded, seen = photograph.decoded, []

    def stopping(files, side, threads):
        seen.append(files)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return decoded(files, side, threads)

    monkeypatch.setattr(photograph, "decoded", stopping)
    with pytest.raises(KeyboardInterrupt):
        prepare.make(store, TINY, Scale(), str(folder))
    prepare.make(store, TINY, Scale(), str(folder))
    assert len(seen) == 4 + 7 + 2 - 3  # 7 training and 2 test shards, 3 of which were there
    assert len(prepare.load(store, TINY, Scale()).train) == 25


def test_a_damaged_shard_is_refused_by_name(made):
    path = DatasetFolder(TINY, Scale()).object("test/00001.npy")
    made.write(path, made.read(path)[:-1] + b"?")
    with pytest.raises(UserError, match=r"test/00001.npy is damaged"):
        everything(prepare.load(made, TINY, Scale()).test)


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


def test_without_a_data_directory_it_says_where_to_put_them(tmp_path):
    with pytest.raises(UserError, match=r"tiny/train/CLASS/FILE.*--data-dir"):
        prepare.make(open_store(str(tmp_path)), TINY, Scale())


def test_what_does_not_fit_into_memory_is_not_whitened(tmp_path, folder):
    with pytest.raises(UserError, match="use Scale"):
        prepare.make(open_store(str(tmp_path)), TINY, Whiten(), str(folder))


def test_real_photographs_as_a_data_set(tmp_path):
    """Of imagenette-mini 600 train and 200 test: an epoch sees every image once, in classes well mixed."""
    top = real_photographs()
    dataset = Dataset("imagenette-mini", 64, 10, 600, 200, None, shard=64)
    store = open_store(str(tmp_path))
    prepare.make(store, dataset, Scale(), str(top))
    data = prepare.load(store, dataset, Scale())
    train, test = data.feeds(Recipe(lr=0.1, batch=50, preprocess=Scale(), augment=Crop(window=56)))
    labels = torch.cat(
        [labels for images, labels, _ in train.training_batches(0, 0) if images.shape[1:] == (3, 56, 56)]
    )
    assert labels.bincount().tolist() == [60] * 10
    assert all(len(batch.unique()) >= 7 for batch in labels.split(50))
    images, labels = next(test.evaluation_batches(200))
    assert labels.tolist() == sorted(labels.tolist())
    assert 0.3 < images.std() < 0.8
