"""The gate before training, held against the mistakes that published reproductions of this paper made."""

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.numerics.dropout import KeyedDropout
from pipeline.numerics.model import GlobalAverage, build
from pipeline.numerics.model_check import check_model
from pipeline.paper.layers import Conv, Dropout, Pool
from pipeline.paper.networks import ABLATIONS, TWELVE, narrow, padded_head, unrectified_scores, with_dropout

NET = narrow(TWELVE["convpool-cnn-b"], 12)
SMALL = {**TWELVE, **ABLATIONS}


def changed(network=NET, **modules):
    """The network's model with some of its modules replaced."""
    model = build(network)
    return nn.Sequential(OrderedDict((name, modules.get(name, module)) for name, module in model.named_children()))


def names(network=NET, kind=nn.Conv2d):
    return [name for name, module in build(network).named_children() if isinstance(module, kind)]


@pytest.mark.parametrize("network", SMALL.values(), ids=lambda n: n.name)
def test_what_build_makes_conforms_and_comes_back_as_it_was(network):
    thin = narrow(network, 12)
    model = build(thin).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    check_model(model, thin)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


class AlwaysDropping(nn.Module):
    """Functional dropout that does not ask whether the model is training."""

    p = 0.2

    def forward(self, x):
        return nn.functional.dropout(x, self.p)


def test_dropout_that_stays_on_in_evaluation_is_refused():
    [drop, *_] = [name for name, module in build(NET).named_children() if isinstance(module, KeyedDropout)]
    with pytest.raises(UserError, match="two evaluation passes differ"):
        check_model(changed(**{drop: AlwaysDropping()}), NET)


def test_a_convolution_used_twice_is_refused_by_name():
    # convpool-cnn-b: 5x5, 1x1, 3x3 before each pool; in block 2 the 3x3 fits in no other place
    thin = narrow(TWELVE["convpool-cnn-c"], 12)
    model = build(thin)
    _, second, third = names(thin)[:3]
    shared = changed(thin, **{third: getattr(model, second), second: getattr(model, second)})
    with pytest.raises(UserError, match=f"{third!r} shares its weights with {second!r}|{second!r}.*used twice"):
        check_model(shared, thin)
    tied = build(thin)
    getattr(tied, third).weight = getattr(tied, second).weight
    with pytest.raises(UserError, match="shares its weights"):
        check_model(tied, thin)


def test_a_head_of_8_by_8_is_refused():
    with pytest.raises(UserError, match=r"3x3 conv. 16.*output is 16x8x8, the table's 16x6x6"):
        check_model(build(padded_head(NET)), NET)


@pytest.mark.parametrize("position", range(9))
def test_a_missing_relu_is_refused_by_the_convolution_before_it(position):
    conv = names()[position]
    model = build(NET)
    kept = OrderedDict((n, m) for n, m in model.named_children() if n != conv.replace("conv", "relu"))
    assert len(kept) == len(list(model.children())) - 1
    with pytest.raises(UserError, match=f"{conv!r}, a ReLU is missing"):
        check_model(nn.Sequential(kept), NET)


def test_scores_without_a_relu_are_another_network():
    with pytest.raises(UserError, match="a ReLU is missing"):
        check_model(build(unrectified_scores(NET)), NET)
    with pytest.raises(UserError, match="behind the table's last row"):
        check_model(build(NET), unrectified_scores(NET))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        # the extra convolution of ConvPool-A has the size of the pool, not of the layer before
        (replace(NET, layers=tuple(Conv(5, 8) if x == Conv(3, 8) else x for x in NET.layers)), "3x3 conv. 8"),
        (replace(NET, layers=with_dropout(NET.layers, 0.2, 0.4)), "drops 0.4, the table 0.5"),
        (replace(NET, layers=with_dropout(NET.layers, 0, 0.5)), r"dropout 0.2\) is not what 'conv"),
        (replace(NET, layers=tuple(Pool(2, 2) if isinstance(x, Pool) else x for x in NET.layers)), "max-pooling"),
        (replace(NET, layers=NET.layers[:-1]), r"1x1 conv. 10\) is not what 'average' does"),
        (replace(NET, layers=tuple(x for x in NET.layers if not isinstance(x, Dropout))), "dropout 0.2"),
    ],
    ids=["5x5 for 3x3", "dropout share", "no dropout on the image", "pool", "too short", "no dropout"],
)
def test_any_other_table_is_refused_with_the_layer(other, message):
    with pytest.raises(UserError, match=message):
        check_model(build(other), NET)


def test_the_second_1x1_of_b_may_not_go_missing():
    layers = [x for x in NET.layers if x != Conv(1, 8)]
    with pytest.raises(UserError, match=r"1x1 conv. 8\) is not what 'conv"):
        check_model(build(replace(NET, layers=tuple(layers))), NET)


def test_weights_that_nothing_passes_through_and_the_wrong_average_are_refused():
    model = build(NET)
    model.average.idle = nn.Linear(2, 2)
    with pytest.raises(UserError, match="no image passes through"):
        check_model(model, NET)
    with pytest.raises(UserError, match=r"last row|scores"):
        check_model(changed(average=nn.Flatten()), NET)
    twice = changed(average=nn.Sequential(GlobalAverage(), nn.Linear(10, 10)))
    with pytest.raises(UserError, match="behind the table's last row"):
        check_model(twice, NET)


def test_a_refusal_says_that_nothing_was_trained():
    with pytest.raises(UserError, match=r"^the model is not convpool-cnn-b: .* Nothing was trained\.$"):
        check_model(build(padded_head(NET)), NET)


class _Between(nn.Sequential):
    """The network's model, but for what happens behind conv3 and is no module."""

    def __init__(self, network, between):
        super().__init__(OrderedDict(build(network).named_children()))
        self.between = between

    def forward(self, x):
        for name, module in self.named_children():
            x = self.between(self, module(x), x) if name == "conv3" else module(x)
        return x


class _Averaged(nn.Module):
    """What comes in place of the average over positions."""

    def __init__(self, how):
        super().__init__()
        self.forward = how


class _NoReLU(nn.ReLU):
    def forward(self, x):
        return x


class _KeepsAll(KeyedDropout):
    def forward(self, x):
        return x


C = narrow(TWELVE["convpool-cnn-c"], 12)
HIDDEN = {
    "dilated": (changed(C, conv3=nn.Conv2d(8, 8, 3, padding=2, dilation=2)), "'conv3', other values"),
    "mirrored border": (changed(C, conv3=nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")), "'conv3', other"),
    # the same sizes as in ceil mode, but windows that begin at -1
    "padded pool": (changed(C, pool5=nn.MaxPool2d(3, 2, padding=1)), "'pool5', other values"),
    "dropout of whole maps": (changed(C, drop1=nn.Dropout2d(0.2)), "it is a Dropout2d"),
    "dropout that keeps all": (changed(C, drop1=_KeepsAll(0.2)), "'drop1', other values"),
    "ReLU that is none": (changed(C, relu3=_NoReLU()), "'conv3', other values"),
    "a sum for a ReLU": (_Between(C, lambda model, x, before: x + x.relu()), "'conv3', other values"),
    "residual": (_Between(C, lambda model, x, before: x + before), "'conv3', other values"),
    "further dropout": (
        _Between(C, lambda model, x, before: nn.functional.dropout(x, 0.5, model.training)),
        "'conv3', other values",
    ),
    "maximum for average": (changed(C, average=_Averaged(lambda x: x.amax((2, 3)))), "the average of the last maps"),
    "sum for average": (changed(C, average=_Averaged(lambda x: x.sum((2, 3)))), "the average of the last maps"),
    "softmax twice": (
        changed(C, average=_Averaged(lambda x: x.mean((2, 3)).softmax(1))),
        "the average of the last maps",
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_neither_shapes_nor_counts_show_is_refused_too(name):
    model, message = HIDDEN[name]
    with pytest.raises(UserError, match=message):
        check_model(model, C)
