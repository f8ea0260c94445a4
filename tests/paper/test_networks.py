"""Witnesses: the layers of Tables 1 and 2, and parameter counts worked out by hand from them."""

import pytest

from pipeline.errors import UserError
from pipeline.paper.layers import Conv, Dropout, Pool
from pipeline.paper.networks import (
    ABLATIONS,
    BASE,
    HEAD,
    IMAGENET,
    IMAGENET_POOLED,
    LARGE,
    NETWORKS,
    TWELVE,
    Network,
    all_conv,
    find_network,
    for_classes,
    large_all_cnn,
    narrow,
    printed_name,
    strided,
    with_dropout,
)
from pipeline.paper.published_errors import TABLE_3
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
        return tuple(layer for layer in TWELVE[name].layers if not isinstance(layer, Dropout))[: -len(HEAD)]

    c96, c192 = Conv(3, 96), Conv(3, 192)
    assert body("strided-cnn-c") == (c96, Conv(3, 96, 2), c192, Conv(3, 192, 2))
    assert body("convpool-cnn-c") == (c96, c96, c96, Pool(3, 2), c192, c192, c192, Pool(3, 2))
    assert body("all-cnn-c") == (c96, c96, Conv(3, 96, 2), c192, c192, Conv(3, 192, 2))


def test_strided_b_subsamples_with_its_1x1():
    assert [layer for layer in strided(BASE["b"]) if layer.stride == 2] == [Conv(1, 96, 2), Conv(1, 192, 2)]


@pytest.mark.parametrize("network", TWELVE.values(), ids=lambda n: n.name)
def test_dropout_is_on_the_image_and_after_each_subsampling(network):
    layers = network.layers
    assert layers[0] == Dropout(0.2)
    after = [layers[i - 1] for i, layer in enumerate(layers) if i and isinstance(layer, Dropout)]
    assert [layer.stride for layer in after] == [2, 2]
    assert [layer.p for layer in layers if isinstance(layer, Dropout)] == [0.2, 0.5, 0.5]


def test_narrow_divides_every_width_but_the_classes():
    assert [c.width for c in narrow(TWELVE["model-a"], 6).convs] == [16, 32, 32, 32, 10]
    with pytest.raises(ValueError, match="divided by 7"):
        narrow(TWELVE["model-a"], 7)


def test_one_layer_may_stand_at_several_places_and_layers_in_a_list():
    same = Conv(3, 10)
    twice = Network("twice", 32, [same, same])
    assert hash(twice) == hash(Network("twice", 32, (same, same)))
    assert [conv.width for conv in narrow(twice, 2).convs] == [5, 10]
    assert with_dropout((same, same), image=0, extra=lambda conv: True) == (same, Dropout(0.5), same)


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
        (lambda: Conv(3, 8, pad=-1), "pad is a whole number"),
        (lambda: Conv(3, 8, pad=0.5), "pad is a whole number"),
        (lambda: Dropout(1.0), "share must lie"),
        (lambda: steps(Network("n", 4, (Conv(7, 8, pad=0),))), "nothing is left"),
    ],
)
def test_layers_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def convs(network):
    return [step for step in steps(network) if isinstance(step.layer, Conv)]


def test_100_classes_cost_a_wider_last_layer():
    # 90 further scores of 192 weights and a bias
    for name, network in TWELVE.items():
        assert parameters(for_classes(network, 100)) == BY_HAND[name] + 90 * 193
    assert parameters(for_classes(TWELVE["all-cnn-c"], 100)) == 1_387_108


def test_receptive_fields_of_all_cnn_c():
    assert [step.receptive for step in convs(TWELVE["all-cnn-c"])] == [3, 5, 7, 11, 15, 19, 27, 27, 27]


def test_the_layers_of_table_6():
    # weights and biases, side, receptive field, layer by layer
    table = [
        (34_944, 55, 11), (9_312, 55, 11), (83_040, 27, 19), (614_656, 27, 51), (65_792, 27, 51), (590_080, 13, 67),
        (885_120, 13, 99), (147_840, 13, 99), (1_327_488, 6, 131), (3_539_968, 6, 195), (1_049_600, 6, 195),
        (1_025_000, 6, 195),
    ]  # fmt: skip
    assert [(s.parameters, s.side, s.receptive) for s in convs(IMAGENET)] == table
    assert parameters(IMAGENET) == 9_372_840
    assert 60.97e6 / parameters(IMAGENET) > 6  # six times fewer than Krizhevsky et al. (2012)


def test_the_pooled_twin_of_table_6_has_its_maps_and_weights():
    assert parameters(IMAGENET_POOLED) == parameters(IMAGENET)
    subsampled = [s.side for s in steps(IMAGENET_POOLED) if isinstance(s.layer, Pool)]
    assert subsampled == [27, 13, 6]
    assert [conv.stride for conv in IMAGENET_POOLED.convs] == [4] + [1] * 11
    assert [(s.channels, s.side) for s in steps(IMAGENET_POOLED)[-1:]] == [(1000, 6)]


def test_the_layers_of_table_5():
    sides = [125, 124, 62, 61, 60, 30, 29, 28, 14, 13, 12, 6, 5, 4, 2, 1, 1, 1]
    assert [s.side for s in convs(LARGE)] == sides
    assert sum(s.parameters for s in convs(LARGE)[:17]) == 77_436_480
    assert parameters(LARGE) == 77_455_690
    shares = [layer.p for layer in LARGE.layers if isinstance(layer, Dropout)]
    assert shares == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5]
    assert {conv.slope for conv in LARGE.convs[:-1]} == {1 / 3}


def test_dropout_on_the_inputs_is_another_reading_of_table_5():
    one, other = LARGE.layers, large_all_cnn(drop_inputs=True).layers
    at = one.index(Dropout(0.1))
    assert one[at - 1] == other[at]
    assert other[at - 1] == Dropout(0.1)


def test_a_fully_connected_head_sees_the_whole_map():
    connected = ABLATIONS["all-cnn-c-fc"]
    assert [(s.channels, s.side) for s in steps(connected)[-3:]] == [(192, 6), (192, 1), (10, 1)]
    # the first of them has 6 x 6 times the weights of the 1x1 that it stands for
    assert parameters(connected) == BY_HAND["all-cnn-c"] + 35 * 192 * 192


def test_more_dropout_where_the_text_varies_it():
    every, ones = ABLATIONS["all-cnn-c-dropout-all"].layers, ABLATIONS["all-cnn-c-dropout-1x1"].layers
    assert [x for x in every if isinstance(x, Dropout)] == [Dropout(0.2)] + [Dropout(0.5)] * 8
    assert [x for x in ones if isinstance(x, Dropout)] == [Dropout(0.2)] + [Dropout(0.5)] * 3
    assert isinstance(every[-1], Conv)


def test_what_reimplementations_changed():
    assert steps(ABLATIONS["all-cnn-c-8x8"])[-1].side == 8
    assert [conv.relu for conv in ABLATIONS["all-cnn-c-linear-scores"].convs] == [True] * 8 + [False]
    assert all(conv.relu for network in TWELVE.values() for conv in network.convs)


def test_names_are_printed_as_table_3_prints_them():
    """Section 2 writes All-CNN where Table 3 writes ALL-CNN."""
    printed = [printed_name(row.network) for row in TABLE_3]
    assert printed == [row.row.replace("ALL-CNN", "All-CNN") for row in TABLE_3]


def test_every_network_has_a_printed_name_of_its_own():
    printed = {printed_name(name) for name in NETWORKS}
    assert len(printed) == len(NETWORKS)
    assert not printed & set(NETWORKS)
    assert printed_name("all-cnn-c-dropout-all") == "All-CNN-C, dropout on all layers"
    assert printed_name("imagenet-all-cnn-b") == "All-CNN-B for ImageNet"
    assert printed_name("a network of yours") == "a network of yours"


@pytest.mark.parametrize("spell", [str, str.upper, str.title, printed_name, lambda name: printed_name(name).upper()])
def test_a_network_is_found_in_any_case_and_by_its_printed_name(spell):
    assert all(find_network(spell(name)) is network for name, network in NETWORKS.items())


def test_an_unknown_network_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"unknown network 'ALL-CNN-D'\. Did you mean all-cnn-"):
        find_network("ALL-CNN-D")
