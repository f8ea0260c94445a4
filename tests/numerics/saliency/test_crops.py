"""Which pixels a unit sees, which patches it likes, how a network forgets: held against autograd and brute force."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.numerics.initialization import initialize
from pipeline.numerics.model import build
from pipeline.numerics.saliency.attribution import Target, maps
from pipeline.numerics.saliency.crops import crop, output_name
from pipeline.numerics.saliency.randomization import randomize_cascade
from pipeline.numerics.saliency.top_patches import top_patches
from pipeline.paper.networks import IMAGENET, NETWORKS, TWELVE, narrow
from pipeline.paper.receptive_fields import receptive_field, receptive_fields


def model_of(network):
    model = build(network)
    initialize(model, "he", 0, None)
    return model.eval()


def test_receptive_fields_are_the_papers():
    fields = [found.step.receptive for found in receptive_fields(TWELVE["all-cnn-c"]).values()]
    assert fields == [3, 5, 7, 11, 15, 19, 27, 27, 27]
    of = receptive_fields(IMAGENET)
    assert [of[f"conv{n}"].step.receptive for n in (1, 2, 3, 6, 9)] == [11, 11, 19, 67, 131]


@pytest.mark.parametrize("name", ["model-a", "convpool-cnn-c", "all-cnn-c", "strided-cnn-b"])
def test_a_unit_sees_its_box_and_nothing_else(name):
    """The pixels with a gradient fill the box exactly, all weights being of one sign."""
    network = narrow(TWELVE[name], 24)
    model = model_of(network)
    for parameter in model.parameters():
        parameter.data.abs_()
    for found in receptive_fields(network).values():
        side = found.step.side
        for place in ((0, 0), (side // 2, side - 1), (side - 1, side // 2)):
            image = torch.rand(1, 3, 32, 32)
            target = Target(torch.tensor([0]), output_name(found), torch.tensor([place]))
            seen = maps(model, image, target, "backprop", switches=False, checked=True)[0].abs().sum(0) > 0
            top, left, size = found.box(place)
            expected = torch.zeros(32, 32, dtype=torch.bool)
            expected[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = True
            assert torch.equal(seen, expected), (found.name, place)


def test_a_crop_is_the_window_of_the_padded_image():
    image = torch.arange(3 * 6 * 6.0).view(3, 6, 6)
    padded = np.pad(image.numpy(), ((0, 0), (9, 9), (9, 9)), constant_values=-1)
    for top, left, side in ((0, 0, 6), (-2, 3, 5), (4, -1, 4), (-3, -3, 12), (5, 5, 1), (-5, 0, 3), (7, 2, 2)):
        expected = padded[:, top + 9 : top + 9 + side, left + 9 : left + 9 + side]
        assert crop(image, (top, left, side), outside=-1.0).numpy().tolist() == expected.tolist()


def test_layers_are_named_as_in_the_paper_and_a_typo_is_answered():
    network = NETWORKS["all-cnn-c"]
    assert list(receptive_fields(network)) == [f"conv{n}" for n in range(1, 10)]
    with pytest.raises(UserError, match="Did you mean conv"):
        receptive_field(network, "conv12")
    linear = receptive_fields(NETWORKS["all-cnn-c-linear-scores"])
    assert output_name(linear["conv9"]).startswith("conv")


def test_the_strongest_patches_are_those_of_a_full_search():
    network = narrow(TWELVE["all-cnn-c"], 12)
    model, images = model_of(network), torch.randn(50, 3, 32, 32)
    images[40] = images[7]  # equal activations: the earlier image first
    modules = [output_name(receptive_field(network, name)) for name in ("conv2", "conv5")]
    found = top_patches(model, images.split(16), modules, k=6)
    names = list(dict(model.named_children()))
    for module in modules:
        with torch.no_grad():
            maps_NCHW = model[: names.index(module) + 1](images).numpy()
        peak_NC = maps_NCHW.max((2, 3))
        for channel in range(maps_NCHW.shape[1]):
            order = np.argsort(-peak_NC[:, channel], kind="stable")[:6]
            best = found[module]
            assert best.images_CK[channel].tolist() == order.tolist()
            assert best.values_CK[channel].tolist() == peak_NC[order, channel].tolist()
            for image, (row, column) in zip(order, best.places_CK2[channel].tolist(), strict=True):
                assert maps_NCHW[image, channel, row, column] == peak_NC[image, channel]
        np.testing.assert_allclose(found[module].mean_C.numpy(), maps_NCHW.mean((0, 2, 3)), rtol=1e-5)
        ranked = np.argsort(-found[module].mean_C.numpy(), kind="stable")[:3]
        assert found[module].most_active(3).tolist() == ranked.tolist()


def test_fewer_images_than_asked_for_are_all_of_them():
    network = narrow(TWELVE["all-cnn-c"], 12)
    found = top_patches(model_of(network), [torch.randn(3, 3, 32, 32)], ["relu2"], k=10)
    assert found["relu2"].values_CK.shape == (8, 3)


def test_a_cascade_shuffles_layer_by_layer_from_the_scores_down():
    model = model_of(narrow(TWELVE["all-cnn-c"], 12))
    before = [module.weight.clone() for module in model if isinstance(module, nn.Conv2d)]
    stages = list(randomize_cascade(model))
    assert len(stages) == len(before)
    for depth, (name, random) in enumerate(stages, 1):
        convs = [(n, m) for n, m in random.named_children() if isinstance(m, nn.Conv2d)]
        assert name == convs[-depth][0]
        same = [torch.equal(conv.weight, old) for (_, conv), old in zip(convs, before, strict=True)]
        assert same == [True] * (len(before) - depth) + [False] * depth
        assert convs[-depth][1].weight.flatten().sort().values.equal(before[-depth].flatten().sort().values)
    now = [module.weight for module in model if isinstance(module, nn.Conv2d)]
    assert all(torch.equal(a, b) for a, b in zip(before, now, strict=True))
