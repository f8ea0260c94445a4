"""Files from outside in every state: what comes out is an array of the right kind, or one sentence with their name."""

import io
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.fuzz import FEW, harmed, value_or_own_error

from pipeline.data import cifar, photograph, sources
from pipeline.data.own_arrays import READERS
from pipeline.data.own_data import own_dataset
from pipeline.numerics.model import build
from pipeline.paper.networks import NETWORKS, for_classes, narrow
from pipeline.plan.datasets import Dataset
from pipeline.training import checkpoint
from pipeline.visualization.own_images import Looker
from pipeline.visualization.weights import load_weights

RNG = np.random.default_rng(0)
SMALL = Dataset("small", 32, 10, 4, 4, None)
ONE = replace(
    cifar.C10, train=(cifar.Pickle("data_batch_1"),), file_images=4, test=cifar.Pickle("test_batch"), test_images=4
)


def batch(side: int, protocol: int, key: str = "labels") -> bytes:
    data = RNG.integers(0, 256, (4, 3 * side**2), np.uint8)
    return pickle.dumps({"batch_label": "one of one", key: [0, 1, 2, 1], "data": data}, protocol)


def npz(compressed: bool) -> bytes:
    out, made = io.BytesIO(), {}
    for part in ("train", "test"):
        made[f"{part}_images"] = RNG.integers(0, 256, (4, 8, 8, 3), np.uint8)
        made[f"{part}_labels"] = np.array([0, 1, 2, 1])
    (np.savez_compressed if compressed else np.savez)(out, **made)
    return out.getvalue()


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (24, 20, 3), np.uint8)).save(out, kind)
    return out.getvalue()


def pth(zipped: bool) -> bytes:
    out = io.BytesIO()
    torch.save(MODEL.state_dict(), out, _use_new_zipfile_serialization=zipped)
    return out.getvalue()


MODEL = build(for_classes(narrow(NETWORKS["strided-cnn-a"], 16), 3))
BATCHES = [batch(32, protocol) for protocol in (3, 4, 5)]
PICTURES = [picture(kind) for kind in photograph.FORMATS]


def is_whole(raw) -> bool:
    parts = ((raw.train_images, raw.train_labels), (raw.test_images, raw.test_labels))
    return all(i.dtype == np.uint8 and i.ndim == 4 and len(i) == len(k) and k.dtype.kind in "iu" for i, k in parts)


@FEW
@given(data=harmed(*BATCHES))
def test_published_cifar_files(tmp_path_factory, data):
    top = tmp_path_factory.mktemp("cifar")
    (top / ONE.folder).mkdir()
    (top / ONE.folder / "data_batch_1").write_bytes(BATCHES[0])
    (top / ONE.folder / "test_batch").write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(top / "cache"))
        patch.setitem(cifar.FROM, "small", ONE)
        found = value_or_own_error(f"{top / ONE.folder}/test_batch", lambda: sources.raw(SMALL, str(top)))
    assert found is None or (is_whole(found) and found.test_images.shape == (4, 3, 32, 32))


@FEW
@given(data=harmed(batch(8, 3), batch(8, 4, "fine_labels"), batch(16, 5)))
def test_pickles_as_cifars(tmp_path_factory, data):
    top = tmp_path_factory.mktemp("pickles")
    (top / "data_batch_1").write_bytes(batch(8, 4))
    (top / "data_batch_2").write_bytes(data)
    (top / "test_batch").write_bytes(batch(8, 4))
    found = value_or_own_error(str(top), lambda: READERS["cifar"](str(top))[0])
    assert found is None or is_whole(found)


@pytest.mark.parametrize("content", [[], [1], {"data": 0}, {"data": np.zeros((2, 192), np.uint8), "labels": 3},
                                     {"data": np.zeros((2, 192), np.uint8), "labels": [[1], [1, 2]]},
                                     {"data": np.zeros((2, 192), object), "labels": [0, 1]},
                                     {"data": np.zeros((0, 192), np.uint8), "labels": []},
                                     {"data": np.zeros((2, 192), np.uint8), "labels": [0, 2**70]},
                                     {"data": np.zeros((2, 192), np.float64), "labels": [0.0, 1.0]}])  # fmt: skip
def test_pickles_of_something_else(tmp_path, content):
    (tmp_path / "train").write_bytes(pickle.dumps(content))
    (tmp_path / "test").write_bytes(batch(8, 4))
    assert value_or_own_error(str(tmp_path), lambda: READERS["cifar"](str(tmp_path))) is None


@FEW
@given(data=harmed(npz(False), npz(True), b"\x93NUMPY\x01\x00", npz(True)[:90]))
def test_arrays_in_an_npz_file(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("npz") / "own.npz"
    file.write_bytes(data)
    found = value_or_own_error(str(file), lambda: READERS["npz"](str(file))[0])
    assert found is None or is_whole(found)


@FEW
@given(data=harmed(*PICTURES))
def test_photographs_of_a_data_set(tmp_path_factory, data):
    top = tmp_path_factory.mktemp("photographs")
    for part in ("train", "val"):
        for name in ("one", "two"):
            (top / part / name).mkdir(parents=True)
            (top / part / name / "0.png").write_bytes(PICTURES[1])
    file = top / "train" / "two" / "0.png"
    file.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(top / "cache"))
        found = value_or_own_error(str(file), lambda: sources.raw(own_dataset(f"imagefolder:{top}", 8)))
    assert found is None or is_whole(found)


@FEW
@given(data=harmed(*PICTURES))
def test_photographs_that_a_network_looks_at(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("looked") / "photograph"
    file.write_bytes(data)
    looker = Looker(MODEL.eval(), 32, lambda pixels: pixels / 255, lambda pixels: pixels / 255, None, {})
    found = value_or_own_error(str(file), lambda: looker.look(file, ("backprop",)))
    assert found is None or found.maps["backprop"].shape == (3, 32, 32)


@FEW
@given(ending=st.sampled_from((".pth", ".safetensors")), data=st.data())
def test_weights_of_others(tmp_path_factory, ending, data):
    file = tmp_path_factory.mktemp("weights") / f"own{ending}"
    whole = (pth(True), pth(False)) if ending == ".pth" else (checkpoint.weights(MODEL),)
    file.write_bytes(data.draw(harmed(*whole)))
    found = value_or_own_error(str(file), lambda: load_weights("strided-cnn-a", file))
    assert found is None or found[0].name == "strided-cnn-a"


@FEW
@given(data=st.data())
def test_the_pin_of_a_data_set(tmp_path_factory, data):
    top = tmp_path_factory.mktemp("pin")
    (top / "own.npz").write_bytes(npz(False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(top / "cache"))
        pinned = own_dataset(f"npz:{top / 'own.npz'}")
        [pin] = (top / "cache").rglob("*.json")
        pin.write_bytes(data.draw(harmed(pin.read_bytes(), b"[]", b"{}", b'{"stamp": 1}')))
        found = value_or_own_error(str(pin), lambda: own_dataset(f"npz:{top / 'own.npz'}"))
    assert found is None or isinstance(found, type(pinned))
