"""Workers that train together read their own streams of a data set in shards. Witnesses: one worker's batches by value,
the shards that hold a stream's images, counted by hand."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from support.counted import counted

from pipeline.data import prepare, read_shards
from pipeline.data.read_shards import Shards
from pipeline.numerics.fast.precision import Mode
from pipeline.numerics.fast.self_check import POOLED, small_images, small_model
from pipeline.numerics.fast.trainer import Trainer
from pipeline.numerics.loader import Loader
from pipeline.numerics.process_group import ProcessGroup
from pipeline.paper.augmentations import Crop
from pipeline.paper.layers import Conv
from pipeline.paper.networks import Network
from pipeline.paper.recipes import Recipe, Scale
from pipeline.plan.datasets import Dataset
from pipeline.plan.experiment import Experiment
from pipeline.store.objects import open_store
from pipeline.training import job

TINY = Dataset("tiny", 8, 3, 203, 37, None, shard=5)  # 41 shards, 40 full and one of 3; 8 of test images
RECIPE = Recipe(
    lr=0.01, epochs=4, epoch_images=120, lr_drops=(), batch=24, preprocess=Scale(), augment=Crop(window=6), streams=8
)
# 203 = 8 * 25 + 3: the first three streams have 26 images
STREAMS = [range(26), range(26, 52), range(52, 78), *(range(at, at + 25) for at in range(78, 203, 25))]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Photographs of 8 x 8 pixels in shards."""
    top, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for part, count in (("train", 203), ("val", 37)):
        for n in range(count):
            file = top / "tiny" / part / f"n{n % 3}" / f"{n:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(file)
    made = open_store(str(top / "store"))
    prepare.make(made, TINY, Scale(), str(top))
    return made


@pytest.fixture
def reads(monkeypatch):
    """Of every prepared data set that is loaded, the names of the objects that are read, one after the other."""
    loads, reader = [], prepare.reader

    def counting(*given):
        read, names = reader(*given), []
        loads.append(names)

        def count(name):
            names.append(name)
            return read(name)

        return count

    monkeypatch.setattr(prepare, "reader", counting)
    return loads


def loaded(store):
    return prepare.load.__wrapped__(store, TINY, Scale())


def shards_of(streams):
    return {image // 5 for stream in streams for image in STREAMS[stream]}


def numbers(names, part):
    return [int(name[len(part) + 1 : -4]) for name in names if name.startswith(f"{part}/")]


def test_the_order_of_one_stream_is_that_of_runs_before_there_were_several():
    """Digests of the order that revision 667fc94 made."""
    source, _, _ = counted(1003, 10)
    digests = {
        given: hashlib.sha256(source.order(*given).numpy().tobytes()).hexdigest()[:16] for given in ((1, 0), (5, 3))
    }
    assert digests == {(1, 0): "2de77ed6c20f0bdc", (5, 3): "e6e17c3e2ee7684b"}


@pytest.mark.parametrize("images", [203, 208, 5])
def test_streams_take_turns_with_images_of_their_own_and_a_pass_has_every_image_once(images):
    source, _, _ = counted(images, 5)
    one, other = source.order(1, 0, 8), source.order(1, 1, 8)
    assert one.sort().values.tolist() == list(range(images))
    assert images < 100 or not torch.equal(one, other)
    assert torch.equal(one, counted(images, 5)[0].order(1, 0, 8))
    assert images < 100 or not torch.equal(one, source.order(2, 0, 8))
    for number, part in enumerate(read_shards.parts(images, 8)):
        assert sorted(one[number::8].tolist()) == sorted(other[number::8].tolist()) == list(part)
    if images == 203:
        assert read_shards.parts(images, 8) == STREAMS


def test_a_batch_comes_from_shards_far_apart_and_neighbors_part_from_pass_to_pass():
    """Of 64 images eight each come from eight shards, as of one stream, whose window is eight shards."""
    source, _, _ = counted(8 * 20 * 256, 256)
    for streams in (1, 8):
        shards = source.order(3, 0, streams) // 256
        per_batch = [len(batch.unique()) for batch in shards.split(64)[:-1]]
        assert 7.5 < np.mean(per_batch) <= 9
        opened = [set(source.order(3, passage, streams)[:2048].tolist()) for passage in (0, 1)]
        assert len(opened[0] & opened[1]) < 2048 / 4


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_a_group_of_any_size_sees_the_same_batches_and_each_worker_reads_its_own_shards(store, reads, workers):
    recipe = RECIPE
    whole, _ = loaded(store).feeds(recipe)
    expected = [list(whole.training_batches(7, epoch)) for epoch in range(4)]  # 480 of 203 images: over two passes
    alone = len(numbers(reads[-1], "train"))
    total = 0
    for rank in range(workers):
        feed, _ = loaded(store).feeds(recipe)
        mine = shards_of(range(rank, 8, workers))
        for epoch, batches in enumerate(expected):
            share = feed.training_batches(7, epoch, rank, workers)
            for (images, labels, places), (theirs, classes, where) in zip(batches, share, strict=True):
                here = torch.searchsorted(places, where)
                assert torch.equal(places[here], where)
                assert torch.equal(images[here], theirs)
                assert torch.equal(labels[here], classes)
        assert set(numbers(reads[-1], "train")) == mine
        total += len(numbers(reads[-1], "train"))
    # every image once: what the shares lack in one place would be too much in another
    seen = [
        torch.cat([where for rank in range(workers) for *_, where in whole.training_batches(7, epoch, rank, workers)])
        for epoch in range(4)
    ]
    assert all(sorted(places.tolist()) == list(range(120)) for places in seen)
    # shards in which one stream ends and another begins are read by both: at most seven a pass, of three begun
    assert total <= alone + 3 * 7


def test_where_workers_and_streams_do_not_come_out_even_shares_are_as_before(store):
    feed, _ = loaded(store).feeds(RECIPE)
    for rank in range(3):
        for *_, where in feed.training_batches(7, 0, rank, 3):
            assert where.diff().unique().tolist() == [3]


@pytest.mark.parametrize("streams", [1, 8])
def test_every_shard_is_read_once_a_pass_and_a_share_takes_its_share_of_the_memory(streams):
    """100 shards of 20 images: a worker by itself holds two windows of eight shards, one of eight two shards."""
    for workers in (1, 8):
        source, reads, most = counted(2000, 20)
        source_of_two = Loader(source, replace(RECIPE, epoch_images=None, batch=16, augment=None, streams=streams))
        for epoch in range(2):
            for place_B in (plan := source_of_two.epoch_plan(0, epoch)).batches(16, 0, workers):
                source_of_two.batch_at(plan, place_B)
        if workers == 1:
            assert 198 <= len(reads) <= 2 * (100 + 7) + 8  # a shard may be read ahead, or not yet, as a pass ends
            assert most[0] <= 3 * 8
        elif streams == 8:
            assert 2 * 12 <= len(reads) <= 2 * 14 + 1
            assert most[0] <= 4
        else:
            assert 198 <= len(reads) <= 2 * (100 + 7) + 8  # every worker all, as runs of one stream always did


def test_an_evaluation_is_shared_out_in_neighboring_batches(store, reads):
    _, whole = loaded(store).feeds(RECIPE)
    expected = list(whole.evaluation_batches(5))
    for workers in (1, 2, 3, 4, 8):
        found = []
        for rank in range(workers):
            _, feed = loaded(store).feeds(RECIPE)
            found += feed.evaluation_batches(5, rank, workers)
            begin, end = (8 * number // workers for number in (rank, rank + 1))
            assert sorted(numbers(reads[-1], "test")) == list(range(begin, end))
        for (images, labels), (theirs, classes) in zip(expected, found, strict=True):
            assert torch.equal(images, theirs)
            assert torch.equal(labels, classes)


@pytest.fixture
def alone_in_a_group(monkeypatch):
    """Workers that hear nothing of each other, each in its turn in this process."""
    for name in ("all_reduce", "broadcast"):
        monkeypatch.setattr(ProcessGroup, name, lambda _self, _value: None)


@pytest.mark.usefixtures("alone_in_a_group")
@pytest.mark.parametrize("workers", [2, 3, 8])
def test_gradients_of_the_streams_add_up_to_the_gradient_of_the_batch(workers):
    """Also of the batch in which a pass ends and the next begins: 70 is no multiple of 8."""
    recipe = Recipe(lr=0.05, epochs=2, epoch_images=96, lr_drops=(), batch=16, preprocess=Scale(), streams=8)
    held = small_images(70)

    def trainer(group):
        source = Shards(lambda number: held.images[number * 8 : number * 8 + 8], held.labels, 8)
        train, test = Loader(source, recipe), Loader(small_images(20, 1), recipe)
        return Trainer(small_model(POOLED), POOLED, recipe, train, test, 0, Mode(), group)

    one, *shares = map(trainer, [ProcessGroup(), *(ProcessGroup(rank, workers) for rank in range(workers))])
    for worker in (one, *shares):
        worker.begin_epoch()
    for chunk in one.chunks(1):
        found = []
        for worker in (one, *shares):
            worker.weights.master_P.copy_(one.weights.master_P)
            worker.weights.refresh_compute()
            worker.lr.zero_()
            worker.weights.velocity_P.zero_()
            worker.step(*worker.batch_at(worker.share(chunk)), chunk.batch)
            found.append((worker.weights.gradient_P.clone(), worker.totals.clone()))
        (gradient, totals), *others = found
        torch.testing.assert_close(sum(share for share, _ in others), gradient, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(sum(counted for _, counted in others), totals)


@pytest.mark.usefixtures("alone_in_a_group")
@pytest.mark.parametrize("initialization", ["he", "data-dependent"])
@pytest.mark.parametrize("rank", [1, 3])
def test_a_worker_that_joins_a_run_opens_no_other_shards_from_its_first_to_its_last_step(
    store, reads, rank, initialization
):
    network = Network("little", 6, (Conv(3, 4), Conv(1, 3)))
    job.prepare.load.cache_clear()
    job.join(Experiment(network, TINY, replace(RECIPE, initialization=initialization)), store, ProcessGroup(rank, 4))
    assert set(numbers(reads[-1], "train")) == shards_of([rank, rank + 4])
    # 37 test images are one batch of at most 500, which the last worker evaluates
    assert set(numbers(reads[-1], "test")) == (set(range(8)) if rank == 3 else set())
