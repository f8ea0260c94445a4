"""Witnesses: the layers of Tables 1 and 2, and parameter counts worked out by hand from them."""

import pytest

from pipeline.paper.layers import Conv, Drop, Pool
from pipeline.paper.networks import BASE, HEAD, TWELVE, Network, all_conv, narrow, strided
from pipeline.paper.shapes import parameters, steps

BY_HAND = {
    # 5x5 3-96: 7,296; 5x5 96-192: 460,992; head: 331,968 + 37,056 + 1,930; and so on
    "model-a": 839_242, "strided-cnn-a": 839_242, "convpool-cnn-a": 1_254_250, "all-cnn-a": 1_254_250,
    "model-b": 885_610, "strided-cnn-b": 885_610, "convpool-cnn-b": 1_300_618, "all-cnn-b": 1_300_618,
    "model-c": 954_730, "strided-cnn-c": 954_730, "convpool-cnn-c": 1_369_738, "all-cnn-c": 1_369_738,
}  # fmt: skip


def test_there_are_twelve_with_the_parameters_of_their_tables():
    assert {name: parameters(network) for name, network in TWELVE.items()} == BY_HAND


@pytest.mark.parametrize("network", TWELVE.values(), ids=lambda n: n.name)
def test_maps_are_6_by_6_before_averaging(network):
    assert [(s.channels, s.side) for s in steps(network)[-3:]] == [(192, 6), (192, 6), (10, 6)]


def test_the_columns_of_table_2():
    def body(name):
        return tuple(layer for layer in TWELVE[name].layers if not isinstance(layer, Drop))[: -len(HEAD)]

    c96, c192 = Conv(3, 96), Conv(3, 192)
    assert body("strided-cnn-c") == (c96, Conv(3, 96, 2), c192, Conv(3, 192, 2))
    assert body("convpool-cnn-c") == (c96, c96, c96, Pool(3, 2), c192, c192, c192, Pool(3, 2))
    assert body("all-cnn-c") == (c96, c96, Conv(3, 96, 2), c192, c192, Conv(3, 192, 2))


def test_strided_b_subsamples_with_its_1x1():
    assert [layer for layer in strided(BASE["b"]) if layer.stride == 2] == [Conv(1, 96, 2), Conv(1, 192, 2)]


@pytest.mark.parametrize("network", TWELVE.values(), ids=lambda n: n.name)
def test_dropout_is_on_the_image_and_after_each_subsampling(network):
    layers = network.layers
    assert layers[0] == Drop(0.2)
    after = [layers[i - 1] for i, layer in enumerate(layers) if i and isinstance(layer, Drop)]
    assert [layer.stride for layer in after] == [2, 2]
    assert [layer.share for layer in layers if isinstance(layer, Drop)] == [0.2, 0.5, 0.5]


def test_narrow_divides_every_width_but_the_classes():
    assert [c.width for c in narrow(TWELVE["model-a"], 6).convs] == [16, 32, 32, 32, 10]
    with pytest.raises(ValueError, match="divided by 7"):
        narrow(TWELVE["model-a"], 7)


@pytest.mark.parametrize(
    ("layers", "message"),
    [((Pool(), Conv(3, 8)), "right before"), ((Conv(3, 8), Pool(), Pool()), None)],
)
def test_a_pool_without_a_convolution_before_it_cannot_be_rewritten(layers, message):
    if message:
        with pytest.raises(ValueError, match=message):
            all_conv(layers)
    else:
        assert all_conv(layers) == (Conv(3, 8), Conv(3, 8, 2), Conv(3, 8, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv(2, 8), "give pad"),
        (lambda: Conv(0, 8), "at least 1"),
        (lambda: Pool(3, 0), "at least 1"),
        (lambda: Drop(1.0), "share must lie"),
        (lambda: steps(Network("n", 4, (Conv(7, 8, pad=0),))), "nothing is left"),
    ],
)
def test_layers_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
