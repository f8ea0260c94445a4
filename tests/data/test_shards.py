"""Photographs in shards. Witnesses: the same images held in memory, laws of order."""

import numpy as np
import pytest
import torch
from support.counted import counted
from support.real_data import photographs as real_photographs
from support.tiny_photographs import TINY, photographs

from pipeline.data import photograph, prepare, read_shards
from pipeline.data.read_shards import Shards
from pipeline.errors import UserError
from pipeline.numerics.loader import Images, Loader
from pipeline.paper.augmentations import Crop
from pipeline.paper.recipes import Recipe, Scale, Whiten
from pipeline.plan.datasets import Dataset
from pipeline.store.objects import open_store
from pipeline.store.paths import DatasetFolder


@pytest.fixture
def folder(tmp_path):
    return photographs(tmp_path / "data")


@pytest.fixture
def made(tmp_path, folder):
    store = open_store(str(tmp_path / "store"))
    prepare.make(store, TINY, Scale(), str(folder))
    return store


def everything(source):
    return source.take(torch.arange(len(source)))


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
