"""A model whose rectifiers the rules do not reach is refused by name; one that they reach is not."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pipeline.errors import UserError
from pipeline.numerics.initialization import initialize
from pipeline.numerics.model import build
from pipeline.numerics.saliency.attribution import Target, maps
from pipeline.numerics.saliency.coverage_check import check
from pipeline.paper.networks import NETWORKS, TWELVE, narrow

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class TwoConvs(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.relu, self.gelu, self.six = nn.ReLU(), nn.GELU(), nn.ReLU6()

    def forward(self, x):
        return self.end(self.conv2(self.between(self.conv1(x)))).mean((2, 3))

    def between(self, x):
        return self.relu(x)

    def end(self, x):
        return x


class OwnOperation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * (x > 0)

    @staticmethod
    def backward(ctx, above):
        return above


class OneChannelMore(nn.ReLU):
    """A ReLU by its kind, and something else by what it does."""

    def forward(self, x):
        return F.relu(x) + 1


def with_(**methods):
    return type("Other", (TwoConvs,), methods)()


def biased():
    """Its functional ReLU does nothing on images of ordinary size: a large bias holds it open."""
    model = with_(between=lambda self, x: F.relu(x))
    with torch.no_grad():
        model.conv1.bias += 20
    return model


BLIND = {
    "functional": (with_(between=lambda self, x: F.relu(x)), "after 'conv1' and before 'conv2'"),
    "behind a module": (with_(between=lambda self, x: F.relu(self.relu(x) - 0.1)), "after 'relu' and before 'conv2'"),
    "on the scores": (with_(end=lambda self, x: F.relu(x)), "after 'conv2'"),
    "held open by a bias": (biased(), "after 'conv1' and before 'conv2'"),
    "by hand": (with_(between=lambda self, x: x * (x > 0)), "after 'conv1' and before 'conv2'"),
    "custom operation": (with_(between=lambda self, x: OwnOperation.apply(x)), "after 'conv1' and before 'conv2'"),
    "gelu": (with_(between=lambda self, x: self.gelu(x)), r"layer 'gelu' \(GELU\)"),
    "relu6": (with_(between=lambda self, x: self.six(x)), r"layer 'six' \(ReLU6\)"),
    "nested": (nn.Sequential(nn.Conv2d(3, 3, 1), with_(between=lambda self, x: F.relu(x))), r"layer '1' \(Other\)"),
}


@pytest.mark.parametrize("case", BLIND)
def test_an_activation_out_of_reach_is_refused_and_named(case):
    model, where = BLIND[case]
    with pytest.raises(UserError, match=where):
        maps(model.eval(), IMAGES, Target(torch.tensor([0, 1])))


def test_where_the_rules_are_blind_maps_would_be_plain_gradients():
    """Why it is refused: what captum returns here is not what it is called."""
    model = BLIND["functional"][0].eval()
    guided, plain = (
        maps(model, IMAGES, Target(torch.tensor([0, 1])), rule, checked=True) for rule in ("guided", "backprop")
    )
    assert torch.equal(guided, plain)


def test_a_random_layer_and_a_false_relu_are_refused():
    noisy = with_(end=lambda self, x: F.dropout(x, 0.2))  # without training=self.training
    with pytest.raises(UserError, match=r"after 'conv2'|random"):
        check(noisy.eval(), IMAGES)
    false = TwoConvs()
    false.relu = OneChannelMore()
    with pytest.raises(UserError, match="differ"):
        check(false.eval(), IMAGES)


def test_a_layer_that_is_called_twice_is_no_target():
    model = with_(end=lambda self, x: self.relu(x))
    check(model, IMAGES)
    with pytest.raises(UserError, match="'relu' is called more than once"):
        maps(model, IMAGES, Target(torch.tensor([0, 1]), "relu"))


def test_what_lies_behind_the_target_does_not_matter():
    model = with_(end=lambda self, x: x.softmax(1)).eval()
    maps(model, IMAGES, Target(torch.tensor([0, 1]), "conv2"))
    with pytest.raises(UserError, match="after 'conv2'"):
        maps(model, IMAGES, Target(torch.tensor([0, 1])))


@pytest.mark.parametrize("name", [*TWELVE, "all-cnn-c-linear-scores", "model-a-fc"])
def test_every_network_of_the_paper_is_reached(name):
    network = narrow(NETWORKS[name], 12)
    model = build(network)
    initialize(model, "he", 0, None)
    check(model, torch.randn(1, 3, network.side, network.side))


def test_a_deep_leaky_network_is_reached():
    network = narrow(NETWORKS["large-all-cnn"], 160)
    model = build(network)
    initialize(model, "he", 0, None)
    check(model, torch.randn(1, 3, 126, 126))


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "alexnet"])
def test_models_of_others_are_reached(name):
    import torchvision

    torch.manual_seed(0)
    check(getattr(torchvision.models, name)(weights=None), torch.randn(1, 3, 64, 64))
