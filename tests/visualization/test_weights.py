"""Weights of one's own: taken by name or in their order; those of another network are refused by the layer."""

import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.errors import UserError
from pipeline.numerics.initialization import initialize
from pipeline.numerics.model import build
from pipeline.own import at_width
from pipeline.paper.networks import TWELVE, narrow
from pipeline.training import checkpoint
from pipeline.visualization.own_images import of_weights

SMALL = at_width("all-cnn-c", "1/12", "digits")


class Theirs(nn.Module):
    """All-CNN-C as other code has it: other names, and a linear layer in place of the last 1x1."""

    def __init__(self):
        super().__init__()
        rows = list(narrow(TWELVE["all-cnn-c"], 12).convs)
        wide = [3, *(c.width for c in rows)]
        body = [nn.Conv2d(wide[i], c.width, c.size, c.stride, c.padding) for i, c in enumerate(rows[:-1])]
        self.features, self.fc = nn.Sequential(*body), nn.Linear(wide[-2], 4)


def test_weights_of_ones_own_are_taken_by_order_from_either_file(tmp_path):
    torch.manual_seed(0)
    theirs = Theirs()
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    torch.save({"state_dict": theirs.state_dict(), "epoch": 3}, tmp_path / "theirs.pth")
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    found = [of_weights("All-CNN-C", tmp_path / f"theirs.{end}", "unit") for end in ("safetensors", "pth")]
    one, two = (looker.look(image) for looker in found)
    np.testing.assert_array_equal(one.maps["guided"], two.maps["guided"])
    x = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    for conv in theirs.features:
        x = conv(x).relu()
    scores = torch.einsum("nchw,kc->nkhw", x, theirs.fc.weight) + theirs.fc.bias[:, None, None]
    assert one.predicted == scores.relu().mean((2, 3)).argmax()


def test_our_own_weights_are_taken_by_name_and_halved_ones_too(tmp_path):
    model = build(SMALL)
    initialize(model, "he", 0, None)
    (tmp_path / "ours.safetensors").write_bytes(checkpoint.weights(model))
    half = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(half, tmp_path / "half.safetensors")
    for name, exact in (("ours", 0), ("half", 1e-3)):
        made = of_weights("all-cnn-c", tmp_path / f"{name}.safetensors").model
        for found, wanted in zip(made.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(found, wanted, atol=exact, rtol=exact)


def test_weights_that_are_not_this_networks_are_refused_by_layer(tmp_path):
    theirs = Theirs()
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    with pytest.raises(UserError, match=r"layer 'conv2' of model-a has weights of 8x3x5x5, and .*'features.0.weight'"):
        of_weights("model-a", _with(tmp_path, 5))
    with pytest.raises(UserError, match="convolutions"):
        of_weights("strided-cnn-a", tmp_path / "theirs.safetensors")


def test_biases_of_another_number_are_refused_and_none_are_zeros(tmp_path):
    tensors = {name: value.contiguous() for name, value in build(SMALL).state_dict().items()}
    save_file({name: value for name, value in tensors.items() if "weight" in name}, tmp_path / "none.safetensors")
    made = of_weights("all-cnn-c", tmp_path / "none.safetensors").model
    assert all(not value.any() for name, value in made.state_dict().items() if name.endswith("bias"))
    save_file(
        tensors | {"conv2.bias": torch.zeros(1)}, tmp_path / "one.safetensors"
    )  # our third row: dropout is the first
    with pytest.raises(UserError, match=r"layer 'conv3' of all-cnn-c has 8 biases, and .* 1"):
        of_weights("all-cnn-c", tmp_path / "one.safetensors")


def _with(tmp_path, convs):
    """A file with the first convolutions alone."""
    tensors = dict(list(Theirs().state_dict().items())[: 2 * convs])
    save_file(tensors, tmp_path / "some.safetensors")
    return tmp_path / "some.safetensors"


def test_a_file_that_would_run_a_program_is_never_run(tmp_path):
    class Program:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"state_dict": Program()}, tmp_path / "bad.pth")
    (tmp_path / "worse.pth").write_bytes(pickle.dumps(Program()))
    (tmp_path / "text.safetensors").write_text("no weights")
    (tmp_path / "text.pth").write_text(".")  # to a reader of pickles: the end of nothing
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 1}, tmp_path / "none.pth")
    torch.save({"conv1.weight": torch.zeros(0, 3, 3, 3)}, tmp_path / "zero.pth")
    for name, says in (
        ("bad.pth", "could run a program: save the weights alone"),
        ("worse.pth", "could run a program"),
        ("text.safetensors", "cannot be read as weights"),
        ("text.pth", "cannot be read as weights, of torch.save or .safetensors"),
        ("list.pth", "not a state_dict"),
        ("none.pth", "holds no weights"),
        ("zero.pth", "holds no weights"),
        ("nowhere.pth", "there is no file"),
    ):
        with pytest.raises(UserError, match=says):
            of_weights("all-cnn-c", tmp_path / name)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(UserError, match="scale, unit, imagenet"):
        of_weights("all-cnn-c", _with(tmp_path, 9), "zca")
