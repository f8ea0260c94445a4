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


def biased(by):
    """Its functional ReLU does nothing on images of ordinary size: a large bias holds it open, or shut."""
    model = with_(between=lambda self, x: F.relu(x))
    with torch.no_grad():
        model.conv1.bias += by
    return model


BLIND = {
    "functional": (with_(between=lambda self, x: F.relu(x)), "after 'conv1' and before 'conv2'"),
    "behind a module": (with_(between=lambda self, x: F.relu(self.relu(x) - 0.1)), "after 'relu' and before 'conv2'"),
    "on the scores": (with_(end=lambda self, x: F.relu(x)), "after 'conv2'"),
    "held open by a bias": (biased(20), "after 'conv1' and before 'conv2'"),
    "held open by a huge bias": (biased(1e9), "after 'conv1' and before 'conv2'"),
    "held shut by a huge bias": (biased(-1e9), "after 'conv1' and before 'conv2'"),
    "held open by hand": (with_(between=lambda self, x: F.relu(x + 1e4)), "after 'conv1' and before 'conv2'"),
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


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_a_model_of_16_bits_is_seen_through_or_refused_as_any_other(kind):
    """Gray levels of 255 at a hundred times their size are beyond float16."""
    images = (IMAGES * 255).to(kind)
    seen = with_().eval().to(kind)
    check(seen, images)
    assert {p.dtype for p in seen.parameters()} == {kind}
    found = maps(seen, images, Target(torch.tensor([0, 1])))
    assert found.dtype == kind
    assert found.float().isfinite().all()
    with pytest.raises(UserError, match="after 'conv1' and before 'conv2'"):
        check(with_(between=lambda self, x: F.relu(x)).eval().to(kind), images)


class Pair(TwoConvs):
    def forward(self, x):
        return super().forward(x), x


class Tokens(TwoConvs):
    def forward(self, x):
        return self.conv1(x).flatten(2).transpose(1, 2)


def poisoned():
    model = TwoConvs().eval()
    with torch.no_grad():
        model.conv2.weight[0, 0, 0, 0] = float("nan")
    return model


NOT_A_NUMBER = IMAGES.clone()
NOT_A_NUMBER[1, 0, 0, 0] = float("nan")


@pytest.mark.parametrize(
    ("model", "images", "says"),
    [
        (TwoConvs(), (IMAGES, IMAGES), r"one tensor .*, not a tuple of 2"),
        (TwoConvs(), IMAGES[0], r"not \(3, 32, 32\): images\[None\] makes a batch of one"),
        (TwoConvs(), IMAGES[:0], r"at least one, not \(0, 3, 32, 32\)"),
        (TwoConvs(), IMAGES[:, :1], "layer 'conv1' takes 3 channels, and gets 1"),
        (TwoConvs(), NOT_A_NUMBER, "image 1 of 2 holds NaN"),
        (TwoConvs(), IMAGES.to(torch.uint8), "not uint8 pixels"),
        (TwoConvs().half(), IMAGES, r"in float16 and the images are float32: images.to\(torch.float16\)"),
        (TwoConvs(), IMAGES[..., :4, :4], "does not take images"),
        (nn.Sequential(nn.Flatten(), nn.Linear(10, 2)), IMAGES, "layer '1' takes 10 values, and gets 3072"),
        (Pair(), IMAGES, "the model returns a tuple of 2"),
        (Tokens(), IMAGES, r"the model returns \(N, 900, 8\)"),
        (poisoned(), IMAGES, "layer 'conv2' has a weight with NaN"),
    ],
)
def test_what_cannot_be_explained_is_said_in_its_own_sentence(model, images, says):
    with pytest.raises(UserError, match=says):
        maps(model.eval(), images, Target())


def test_a_layer_of_a_model_that_returns_a_tuple_is_explained():
    assert maps(Pair().eval(), IMAGES, Target(layer="relu")).shape == IMAGES.shape


def test_the_check_leaves_the_model_as_it_was():
    model = TwoConvs()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check(model, IMAGES)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
