"""Patterns of units without an image. Witnesses: the filters themselves, transposed convolutions."""

import torch
import torch.nn.functional as F
from torch import nn

from pipeline.numerics.initialization import initialize
from pipeline.numerics.model import build
from pipeline.numerics.saliency.attribution import Target, maps, patterns
from pipeline.numerics.saliency.crops import output_name
from pipeline.paper.networks import TWELVE, narrow
from pipeline.paper.receptive_fields import receptive_fields


def network(name, by=6):
    model = build(narrow(TWELVE[name], by))
    initialize(model, "he", 0, None)
    return model.eval()


IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_patterns_of_the_first_layer_are_its_filters():
    network_, model = TWELVE["model-a"], network("model-a", 1)
    first = receptive_fields(narrow(network_, 1))["conv1"]
    found = patterns(model, output_name(first), torch.arange(96), (16, 16), IMAGES[0])
    top = first.box((16, 16))[0]
    window = slice(top, top + first.step.receptive)
    torch.testing.assert_close(found[:, :, window, window], model.get_submodule(f"conv{first.number}").weight.detach())
    assert found.count_nonzero() == model.get_submodule(f"conv{first.number}").weight.count_nonzero()


def test_patterns_are_transposed_convolutions_with_rectifiers_between_and_look_at_no_image():
    model = network("all-cnn-c", 12)
    third = receptive_fields(narrow(TWELVE["all-cnn-c"], 12))["conv3"]
    convs = [m for m in model if isinstance(m, nn.Conv2d)][:3]
    signal = torch.zeros(8, 8, 16, 16)
    signal[torch.arange(8), torch.arange(8), 8, 8] = 1
    with torch.no_grad():
        for conv in reversed(convs):
            out = conv.stride[0] - 1
            signal = F.conv_transpose2d(signal.relu(), conv.weight, None, conv.stride, conv.padding, out)
    found = patterns(model, output_name(third), torch.arange(8), (8, 8), IMAGES[0])
    torch.testing.assert_close(found, signal)
    target = Target(torch.arange(8), output_name(third), torch.tensor([[8, 8]]).expand(8, 2))
    assert torch.equal(found, maps(model, torch.randn(8, 3, 32, 32), target, "deconvnet", switches=False))
