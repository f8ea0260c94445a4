"""Prepared data rest on the images that were planned, and are made once."""

from dataclasses import replace

import numpy as np
import pytest
from support.noise import NOISE, ONE, RAW

from pipeline.data import prepare, sources
from pipeline.errors import UserError
from pipeline.store.objects import sha256
from pipeline.store.paths import DatasetFolder

pytestmark = pytest.mark.usefixtures("noise")


def test_a_damaged_data_set_is_refused(prepared):
    path = DatasetFolder(NOISE, ONE.recipe.preprocess).object("train-images.npy")
    data = prepared.read(path)
    prepared.write(path, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match=r"train-images.npy is damaged"):
        prepare.load(prepared, NOISE, ONE.recipe.preprocess).feeds(ONE.recipe)


def test_a_data_set_is_made_once_and_a_broken_attempt_completed(prepared):
    folder = DatasetFolder(NOISE, ONE.recipe.preprocess)
    before = {name: prepared.read(folder.object(name)) for name in prepared.names(folder.top)}
    prepared.delete(folder.manifest)
    prepared.delete(folder.object("test-images.npy"))
    prepare.make(prepared, NOISE, ONE.recipe.preprocess)
    assert {name: prepared.read(folder.object(name)) for name in prepared.names(folder.top)} == before
    manifest = prepared.read_json(folder.manifest)["objects"]
    assert {name: sha256(before[name]) for name in manifest} == {k: v["sha256"] for k, v in manifest.items()}


def test_other_images_than_planned_are_refused(store, monkeypatch):
    other = replace(RAW, test_labels=RAW.test_labels[::-1].copy())
    monkeypatch.setitem(sources._SOURCES, "noise", lambda: other)
    with pytest.raises(UserError, match="not the ones this study is about"):
        prepare.make(store, NOISE, ONE.recipe.preprocess)
    assert store.names("") == []


def test_digits_are_the_pinned_ones_in_two_disjoint_stratified_parts(monkeypatch):
    from sklearn.datasets import load_digits

    found, target = sources.digits(), load_digits().target
    table = np.column_stack(load_digits(return_X_y=True))
    assert np.array_equal(sources._digits_table(), table)
    monkeypatch.setattr(sources, "find_spec", lambda _: None)  # as in a version that keeps the file elsewhere
    assert np.array_equal(sources._digits_table(), table)
    assert (len(found.train_labels), len(found.test_labels)) == (1442, 355)
    share = np.bincount(found.test_labels) / np.bincount(target)
    assert share.min() > 0.19
    assert share.max() <= 0.2
    both = np.concatenate([found.train_labels, found.test_labels])
    assert np.array_equal(np.bincount(both), np.bincount(target))
    assert (found.train_images.min(), found.train_images.max()) == (0, 255)
