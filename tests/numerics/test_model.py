"""Witnesses: the tables of the paper, torch's own FLOP counter, Caffe's pooling worked out by hand."""

from itertools import pairwise, product

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.numerics.dropout import begin_batch, dropouts, epoch_keys
from pipeline.numerics.initialization import initialize
from pipeline.numerics.model import build, count_parameters, transplant
from pipeline.paper.layers import Conv, Dropout, Pool
from pipeline.paper.networks import IMAGENET, IMAGENET_POOLED, NETWORKS, TWELVE, Network, narrow
from pipeline.paper.shapes import parameters, steps, training_flops

NETS = pytest.mark.parametrize("network", TWELVE.values(), ids=lambda n: n.name)


@NETS
def test_the_model_is_its_table_layer_by_layer(network):
    model = build(network)
    shapes: list[tuple] = []
    for module in model:
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            module.register_forward_hook(
                lambda m, _, out: shapes.append((sum(p.numel() for p in m.parameters()), *out.shape[1:]))
            )
    model.eval()(torch.zeros(1, 3, 32, 32))
    table = [(s.parameters, s.channels, s.side, s.side) for s in steps(network) if not isinstance(s.layer, Dropout)]
    assert shapes == table
    assert count_parameters(model) == parameters(network)


@pytest.mark.parametrize("side", range(1, 12))
def test_a_pool_leaves_the_side_that_torchs_leaves(side):
    for size, stride in product(range(1, 5), range(1, 5)):
        network = Network("n", side, (Conv(1, 2), Pool(size, stride)))
        try:
            expected = build(network)[:-1](torch.zeros(1, 3, side, side)).shape[-1]
        except RuntimeError:
            with pytest.raises(ValueError, match="nothing is left"):
                steps(network)
        else:
            assert steps(network)[-1].side == expected, (size, stride)


@NETS
def test_every_convolution_has_weights_of_its_own_and_a_relu_after_it(network):
    modules = list(build(network))
    convs = [m for m in modules if isinstance(m, nn.Conv2d)]
    assert len({id(conv.weight) for conv in convs}) == len(network.convs)
    assert all(isinstance(after, nn.ReLU) for conv, after in pairwise(modules) if isinstance(conv, nn.Conv2d))


@NETS
def test_evaluation_is_deterministic(network):
    model = build(narrow(network, 6))
    images = torch.randn(2, 3, 32, 32)
    keys_LE = epoch_keys(0, 0, len(dropouts(model)), 4)
    begin_batch(model, keys_LE[:, :2])
    first = model(images)
    begin_batch(model, keys_LE[:, 2:])
    assert not torch.equal(first, model(images))  # dropout, while training
    model.eval()
    assert torch.equal(model(images), model(images))


@pytest.mark.parametrize("network", NETWORKS.values(), ids=lambda n: n.name)
def test_training_flops_and_shapes_are_those_torch_counts(network):
    with torch.device("meta"):  # shapes alone: nothing is computed
        model, image = build(network).eval(), torch.zeros(1, 3, network.side, network.side)
    with FlopCounterMode(display=False) as counter:
        scores = model(image)
        scores.sum().backward()
    assert training_flops(network) == counter.get_total_flops()
    assert scores.shape == (1, network.classes)
    assert count_parameters(model) == parameters(network)


def test_pooling_is_caffes_windows_start_at_0_and_the_last_may_stick_out():
    model = build(Network("pool", 4, (Pool(3, 2),), channels=1))[:1]
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert model(image).tolist() == [[[[10, 11], [14, 15]]]]


def test_a_layer_may_go_without_its_relu():
    kinds = [type(m).__name__ for m in build(Network("n", 8, (Conv(3, 4), Conv(1, 2, relu=False))))]
    assert kinds == ["Conv2d", "ReLU", "Conv2d", "GlobalAverage"]


def test_same_seed_same_weights_other_seed_other_weights():
    def weights(seed, how="he"):
        model = build(narrow(TWELVE["all-cnn-c"], 6))
        initialize(model, how, seed, None)
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize(("how", "gain"), [("xavier", 1.0), ("he", 2.0)])
def test_initial_variance_is_gain_over_fan_in_and_biases_are_0(how, gain):
    model = build(TWELVE["all-cnn-c"])
    initialize(model, how, 0, None)
    conv = model[10]
    assert isinstance(conv, nn.Conv2d)
    fan_in = conv.weight[0].numel()
    assert conv.weight.var().item() * fan_in == pytest.approx(gain, rel=0.02)
    assert conv.weight.mean().item() == pytest.approx(0, abs=0.001)
    assert conv.bias.abs().max() == 0
    if how == "xavier":
        assert conv.weight.abs().max().item() <= (3 / fan_in) ** 0.5


def test_data_dependent_weights_give_every_channel_mean_0_and_deviation_1():
    x = torch.randn(256, 3, 32, 32) * 3 + 1
    model = build(narrow(TWELVE["convpool-cnn-b"], 12))
    initialize(model, "data-dependent", 0, x)
    convs = [m for m in model if isinstance(m, nn.Conv2d)]
    for module in model.eval():
        x = module(x)
        if isinstance(module, nn.Conv2d):
            center, spread = (0.5, 0.5) if module is convs[-1] else (0.0, 1.0)
            torch.testing.assert_close(x.mean((0, 2, 3)), torch.full((module.out_channels,), center), atol=1e-3, rtol=0)
            torch.testing.assert_close(x.std((0, 2, 3)), torch.full((module.out_channels,), spread), atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="training images"):
        initialize(model, "data-dependent", 0)


def test_the_pooled_twin_takes_the_trained_weights():
    thin, twin = narrow(IMAGENET, 32), narrow(IMAGENET_POOLED, 32)
    model, pooled = build(thin), build(twin)
    initialize(model, "he", 0)
    transplant(model, pooled)
    # at stride 2 it computes every second value of the one at stride 1; pooling takes the largest of 2x2
    image = torch.randn(1, 3, 224, 224)
    dense, coarse = pooled[:5](image), model[:5](image)
    assert dense.shape[-1] == 2 * coarse.shape[-1] - 1
    torch.testing.assert_close(dense[..., ::2, ::2], coarse)
    with pytest.raises(RuntimeError, match="size mismatch"):
        transplant(build(narrow(TWELVE["model-a"], 12)), pooled)


def test_a_leaky_rectifier_has_the_slope_of_its_row():
    model = build(Network("leaky", 2, (Conv(1, 2, slope=0.25), Conv(1, 1, relu=False)), channels=1))
    assert model.relu1(torch.tensor([-4.0, 4.0])).tolist() == [-1.0, 4.0]


def test_glorot_counts_the_values_that_a_weight_reaches():
    model = build(Network("g", 9, (Conv(3, 64, 2), Conv(3, 32), Conv(1, 10))))
    initialize(model, "glorot", 0)
    # fan-in 3 * 9, fan-out 64 * 9 / 4; fan-in 64 * 9, fan-out 32 * 9
    for conv, fans in ((model.conv1, 27 + 144), (model.conv2, 576 + 288)):
        assert conv.weight.abs().max().item() == pytest.approx((6 / fans) ** 0.5, rel=0.01)
        assert conv.weight.var().item() == pytest.approx(2 / fans, rel=0.1)
