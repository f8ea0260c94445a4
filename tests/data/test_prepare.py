"""Prepared data: what a recipe is fed, from which bytes. Witnesses: numpy's linear algebra, numerics on raw pixels."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.real_data import real_data

from pipeline.data import prepare, sources
from pipeline.data.raw_images import Raw
from pipeline.errors import UserError
from pipeline.numerics.augmentation import augment, draw, eval_transform
from pipeline.numerics.preprocessing import contrast_normalized, fit_to, scaled, whiten
from pipeline.paper.augmentations import Crop, Distort, Shift
from pipeline.paper.recipes import Recipe, Scale, Whiten
from pipeline.plan.datasets import DATASETS, Dataset
from pipeline.store.objects import open_store, sha256
from pipeline.store.paths import DatasetFolder

RNG = np.random.default_rng(0)
RAW = Raw(
    RNG.integers(0, 256, (30, 3, 8, 8), dtype=np.uint8),
    RNG.integers(0, 10, 30, dtype=np.uint8),
    RNG.integers(0, 256, (12, 3, 8, 8), dtype=np.uint8),
    RNG.integers(0, 10, 12, dtype=np.uint8),
)
TINY = Dataset("tiny", 8, 10, 30, 12, RAW.sha256)
TRAIN, TEST = torch.from_numpy(RAW.train_images), torch.from_numpy(RAW.test_images)
RECIPE = Recipe(lr=0.1, batch=7)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(sources._SOURCES, "tiny", lambda: RAW)


def prepared(store, recipe):
    prepare.make(store, TINY, recipe.preprocess)
    return prepare.load(store, TINY, recipe.preprocess)


def finished(pixels, how):
    """Raw pixels, or what augmentation made of them, after preprocessing, by numerics alone."""
    return scaled(pixels, how) if isinstance(how, Scale) else whiten(pixels, fit_to(TRAIN, how), how)


CASES = {
    "whitened": RECIPE,
    "whitened, then shifted": replace(RECIPE, augment=Shift(pixels=2)),
    "shifted, then whitened": replace(RECIPE, augment=Shift(pixels=2, whitened=False, fill="edge")),
    "mirrored copies": replace(RECIPE, augment=Shift(pixels=1, flip="copies")),
    "scaled": replace(RECIPE, preprocess=Scale()),
    "shifted, then scaled": replace(RECIPE, preprocess=Scale((1.0, 2.0, 3.0), 9.0), augment=Shift(pixels=2)),
    "distorted": replace(RECIPE, preprocess=Scale(), augment=Distort(field=12, pixels=1)),
    "cropped": replace(RECIPE, preprocess=Scale(), augment=Crop(window=6)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_recipe_is_fed_what_it_asks_for(store, name):
    recipe = CASES[name]
    train, test = prepared(store, recipe).feeds(recipe)
    how, change = recipe.preprocess, recipe.augment
    late = isinstance(how, Scale) or (isinstance(change, Shift) and not change.whitened)

    def seen(pixels, change):
        return finished(change(pixels), how) if late else change(finished(pixels, how))

    close = {"atol": 1e-4, "rtol": 1e-4}
    images, labels = zip(*test.evaluation_batches(batch=5), strict=True)
    torch.testing.assert_close(torch.cat(images), seen(TEST, lambda x: eval_transform(x, change)), **close)
    assert torch.cat(labels).tolist() == RAW.test_labels.tolist()

    copies = 2 if name == "mirrored copies" else 1
    walk = train.epoch_plan(seed=3, epoch=1)
    index, draws = walk.index_E, walk.draws_EK
    images, labels, _ = zip(*train.training_batches(seed=3, epoch=1), strict=True)
    assert torch.cat(labels).tolist() == RAW.train_labels[index % 30].tolist()
    assert sorted(index.tolist()) == list(range(30 * copies))
    if change is None:
        expected = seen(TRAIN, plain_of(change))[index]
    else:
        row = draw(change, 30 * copies, 3, 1)[index]
        expected = seen(TRAIN[index % 30] if late else TRAIN, lambda x: varied_of(x, change, row, index, late))
        assert torch.equal(draws, row)
    torch.testing.assert_close(torch.cat(images), expected, **close)
    assert all(part.is_contiguous(memory_format=torch.channels_last) for part in images)


def plain_of(change):
    return lambda x: eval_transform(x, change)


def varied_of(x, change, row, index, late):
    return augment(x if late else x[index % 30], change, row, index >= 30)


def test_pixels_are_kept_as_they_are_beside_what_preprocessing_made(store):
    for how in (Whiten(), Scale()):
        data = prepared(store, replace(RECIPE, preprocess=how))
        everything = torch.arange(30)
        assert torch.equal(data.train_pixels.take(everything)[0], TRAIN)
        assert torch.equal(data.test_pixels.take(torch.arange(12))[0], TEST)


def test_the_manifest_names_the_raw_data_and_the_matrix_as_it_was_computed(store):
    prepared(store, RECIPE)
    folder = DatasetFolder(TINY, RECIPE.preprocess)
    manifest = store.read_json(folder.manifest)
    assert manifest["raw_sha256"] == RAW.sha256
    assert manifest["whitening_sha256"] == sha256(store.read(folder.object("whitening.safetensors")))
    assert set(manifest["objects"]) | {"manifest.json"} == set(store.names(folder.top))
    for name, about in manifest["objects"].items():
        data = store.read(folder.object(name))
        assert (sha256(data), len(data)) == (about["sha256"], about["bytes"])


def test_pixels_alone_have_no_whitening(store):
    data = prepared(store, replace(RECIPE, preprocess=Scale()))
    assert data.whitening_sha256 is None
    with pytest.raises(UserError, match="no whitening"):
        _ = data.whitening


def test_held_out_images_have_no_say_in_the_whitening(tmp_path, monkeypatch):
    """Other test images, the same matrix: bit for bit."""
    other = replace(RAW, test_images=RAW.test_images[::-1].copy())
    one, two = open_store(str(tmp_path / "one")), open_store(str(tmp_path / "two"))
    first = prepared(one, RECIPE).whitening_sha256
    monkeypatch.setitem(sources._SOURCES, "tiny", lambda: other)
    dataset = replace(TINY, sha256=other.sha256)
    prepare.make(two, dataset, RECIPE.preprocess)
    assert prepare.load(two, dataset, RECIPE.preprocess).whitening_sha256 == first


def test_a_view_is_the_object_and_writing_to_it_changes_nothing_else(store):
    store.write("a/b", bytes(range(256)) * 100)
    one, two = store.read_buffer("a/b"), store.read_buffer("a/b")
    assert bytes(one) == store.read("a/b")
    one[0] = 77
    assert two[0] == store.read("a/b")[0] == 0
    with pytest.raises(FileNotFoundError):
        store.read_buffer("a/c")


def test_training_needs_no_library_that_only_preparing_needs():
    foreign = {"PIL", "ray", "prefect", "s3fs", "scipy", "sklearn", "torchvision"}
    code = f"import sys, pipeline.training.job; print(*({foreign} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.slow
def test_whitened_cifar_10_obeys_the_law(tmp_path, pytestconfig):
    """The covariance of whitened training images has the eigenvalues e / (e + ridge), in the directions of the e.

    The e are numpy's, of a covariance made without ours; all of it takes two minutes.
    """
    top, how, dataset = str(real_data(pytestconfig, "cifar-10-batches-py")), Whiten(), DATASETS["cifar10"]
    store = open_store(str(tmp_path))
    prepare.make(store, dataset, how, top)
    data = prepare.load(store, dataset, how)

    def covariance(parts):
        total, sums, count = np.zeros((3072, 3072)), np.zeros(3072), 0
        for part in parts:
            x = part.double().numpy()
            total, sums, count = total + x.T @ x, sums + x.sum(0), count + len(x)
        return total / count - np.outer(sums / count, sums / count)

    raw = torch.from_numpy(sources.raw(dataset, top).train_images).flatten(1)
    before = covariance(contrast_normalized(part, how.gcn_scale) for part in raw.split(2000))
    eigenvalues, directions = np.linalg.eigh(before)
    images = data.train.images
    after = covariance(part.contiguous().flatten(1) for part in images.split(2000))
    law = eigenvalues.clip(0) / (eigenvalues.clip(0) + how.zca_epsilon)
    in_their_directions = directions.T @ after @ directions
    np.testing.assert_allclose(np.diag(in_their_directions), law, atol=2e-4)
    np.testing.assert_allclose(in_their_directions, np.diag(law), atol=2e-4)
    assert law[-10:].min() > 0.99  # the strongest directions are white
    assert law[:1000].max() < 0.1  # the weak ones are left alone
