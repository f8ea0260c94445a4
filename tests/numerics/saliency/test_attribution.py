"""Witnesses: the numbers of Figure 1b, captum, autograd, a max-pool by hand."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pipeline.errors import UserError
from pipeline.numerics.initialization import initialize
from pipeline.numerics.model import build
from pipeline.numerics.saliency.attribution import Target, attributions, explained, maps
from pipeline.numerics.saliency.backward_rules import BackwardRule, with_backward_rule
from pipeline.paper.networks import TWELVE, narrow
from pipeline.paper.relu_rules import RULES

BELOW = torch.tensor([[1.0, -1, 5], [2, -5, -7], [-3, 2, 4]])
ABOVE = torch.tensor([[-2.0, 3, -1], [6, -3, 1], [2, -1, 3]])
FIGURE_1B = {
    "backprop": [[-2, 0, -1], [6, 0, 0], [0, -1, 3]],
    "deconvnet": [[0, 3, 0], [6, 0, 1], [2, 0, 3]],
    "guided": [[0, 0, 0], [6, 0, 0], [0, 0, 3]],
}


def back(module, rule, below=BELOW, above=ABOVE, switches=True):
    pixels = below.clone().requires_grad_()
    with with_backward_rule(module, BackwardRule(rule, switches)):
        out = module(pixels)
        (signal,) = torch.autograd.grad(out, pixels, above)
    return out.detach(), signal


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("relu", [nn.ReLU(), nn.ReLU(inplace=True)], ids=["relu", "in-place"])
def test_a_relu_gives_the_numbers_of_figure_1b(rule, relu):
    out, signal = back(relu, rule)
    assert out.tolist() == BELOW.clamp(min=0).tolist()
    assert signal.tolist() == FIGURE_1B[rule]


@pytest.mark.parametrize("rule", RULES)
def test_a_leaky_relu_scales_what_a_relu_stops(rule):
    gates = {"backprop": [BELOW], "deconvnet": [ABOVE], "guided": [BELOW, ABOVE]}[rule]
    out, signal = back(nn.LeakyReLU(0.25), rule)
    by_hand = ABOVE.clone()
    for gate in gates:
        by_hand[gate <= 0] *= 0.25
    assert signal.tolist() == by_hand.tolist()
    assert torch.equal(out, F.leaky_relu(BELOW, 0.25))


# windows of 3 with stride 2: columns 0-2 and 2-4. The 7 is both windows' maximum; in the lower map everything ties
POOLED = torch.tensor([[[[1.0, 2, 7, 3, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]], [[[4.0] * 5] * 3]])


def test_a_pool_sends_its_value_to_the_first_of_its_maxima():
    _, signal = back(nn.MaxPool2d(3, 2), "guided", POOLED, torch.tensor([[[[10.0, 1]]], [[[10.0, 1]]]]))
    assert signal[0, 0].tolist() == [[0, 0, 11, 0, 0], [0] * 5, [0] * 5]
    assert signal[1, 0].tolist() == [[10, 0, 1, 0, 0], [0] * 5, [0] * 5]


def test_without_switches_a_pool_sends_evenly_over_the_window_within_the_map():
    wide = F.pad(POOLED[:1], (0, 1))  # in ceil mode a third window has two columns inside
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    out, signal = back(pool, "guided", wide, torch.tensor([[[[9.0, 0, 12]]]]), switches=False)
    assert torch.equal(out, pool(wide))
    assert signal[0, 0].tolist() == [[1, 1, 1, 0, 2, 2]] * 3


def test_without_switches_a_pool_with_gaps_in_its_window_is_refused():
    pool = nn.MaxPool2d(2, 1, dilation=2)
    _, signal = back(pool, "guided", POOLED[:1], torch.ones(1, 1, 1, 3))
    assert signal.sum() == 3
    with pytest.raises(UserError, match="dilation"):
        back(pool, "guided", POOLED[:1], torch.ones(1, 1, 1, 3), switches=False)


def network(name, by=6):
    model = build(narrow(TWELVE[name], by))
    initialize(model, "he", 0, None)
    return model.eval()


IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([1, 7, 3])


def captums(model, images, classes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from captum.attr import Deconvolution, GuidedBackprop, Saliency

        out = {
            "guided": GuidedBackprop(model).attribute(images.clone(), target=classes),
            "deconvnet": Deconvolution(model).attribute(images.clone(), target=classes),
            "backprop": Saliency(model).attribute(images.clone(), target=classes, abs=False),
        }
    return {rule: found.detach() for rule, found in out.items()}


def assert_close(ours, theirs):
    scale = theirs.abs().max().item()
    assert scale > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("name", ["model-b", "strided-cnn-a", "convpool-cnn-c", "all-cnn-c"])
def test_maps_are_captums(name):
    model = network(name)
    ours = attributions(model, IMAGES, Target(CLASSES))
    for rule, theirs in captums(model, IMAGES, CLASSES).items():
        assert_close(ours[rule, True], theirs)


def test_maps_of_a_resnet_with_shared_in_place_relus_are_captums():
    from torchvision.models import resnet18

    torch.manual_seed(0)
    model = resnet18(weights=None).eval()
    plain = copy.deepcopy(model)
    for module in plain.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # captum cannot do in-place ones
    images = torch.randn(2, 3, 64, 64)
    ours = attributions(model, images, Target(torch.tensor([1, 700])))
    for rule, theirs in captums(plain, images, torch.tensor([1, 700])).items():
        assert_close(ours[rule, True], theirs)


def test_backprop_is_autograds_gradient_of_any_unit_in_double_precision():
    model = network("convpool-cnn-c").double()
    target = Target(torch.tensor([3, 0, 5]), "relu7", torch.tensor([[0, 0], [4, 7], [15, 2]]))
    pixels = IMAGES.double().requires_grad_()
    outputs = model[: list(dict(model.named_children())).index("relu7") + 1](pixels)
    sum(outputs[n, c, y, x] for n, (c, (y, x)) in enumerate([(3, (0, 0)), (0, (4, 7)), (5, (15, 2))])).backward()
    assert_close(maps(model, IMAGES.double(), target, "backprop"), pixels.grad)


def test_without_a_place_the_strongest_one_of_the_image_is_explained():
    model = network("all-cnn-c")
    channels = torch.tensor([2, 9, 4])
    found = model[: list(dict(model.named_children())).index("relu6") + 1](IMAGES)
    flat = torch.stack([found[n, c].argmax() for n, c in enumerate(channels)])
    places = torch.stack([flat // found.shape[3], flat % found.shape[3]], 1)
    assert torch.equal(
        maps(model, IMAGES, Target(channels, "relu6")), maps(model, IMAGES, Target(channels, "relu6", places))
    )


def test_without_a_channel_the_strongest_one_is_explained():
    model = network("convpool-cnn-c")
    with torch.no_grad():
        predicted = model(IMAGES).argmax(1)
        deep = model[: list(dict(model.named_children())).index("relu7") + 1](IMAGES)
    assert torch.equal(maps(model, IMAGES, Target()), maps(model, IMAGES, Target(predicted)))
    channels = deep.flatten(2).amax(2).argmax(1)
    found, target = explained(model, IMAGES, Target(layer="relu7"), ("guided",), (True,), checked=False)
    assert torch.equal(target.channels_N, channels)
    assert [deep[n, c, y, x] for n, (c, (y, x)) in enumerate(zip(channels, target.places_N2, strict=True))] == [
        deep[n].max() for n in range(3)
    ]
    assert torch.equal(found["guided", True], maps(model, IMAGES, Target(channels, "relu7")))


@pytest.mark.parametrize("rule", RULES)
def test_a_batch_is_its_images_one_by_one(rule):
    model = network("convpool-cnn-c")
    one_by_one = [maps(model, IMAGES[i : i + 1], Target(CLASSES[i : i + 1]), rule) for i in range(3)]
    torch.testing.assert_close(maps(model, IMAGES, Target(CLASSES), rule), torch.cat(one_by_one), rtol=1e-5, atol=1e-8)


def test_rules_compared_over_one_forward_pass_are_the_rules_alone():
    model = network("convpool-cnn-c")
    together = attributions(model, IMAGES, Target(CLASSES), tuple(RULES), (True, False))
    assert len(together) == 6
    for (rule, switches), found in together.items():
        assert torch.equal(found, maps(model, IMAGES, Target(CLASSES), rule, switches))


def test_a_network_without_pools_knows_no_switches():
    found = attributions(network("all-cnn-c"), IMAGES, Target(CLASSES), ("guided",), (True, False))
    assert torch.equal(found["guided", True], found["guided", False])


def state(model):
    parts = {name: (m.training, dict(m.__dict__).keys(), len(m._forward_hooks)) for name, m in model.named_modules()}
    return parts, [(p.requires_grad, p.grad, p.detach().clone()) for p in model.parameters()]


def test_the_model_is_left_as_it_was_even_after_an_error():
    model, images = network("all-cnn-c").train(), IMAGES[:1]
    model[0].eval()  # a layer in a mode of its own
    model[1].weight.requires_grad_(False)
    modules, parameters = state(model)
    first = maps(model, images, Target(torch.tensor([1])))
    for wrong in (Target(torch.tensor([11])), Target(torch.tensor([1]), "relu2", torch.tensor([[40, 0]]))):
        with pytest.raises(UserError, match="there is no"):
            maps(model, images, wrong)
    with pytest.raises(UserError, match="takes 3 channels"):
        maps(model, images[:, :1], Target(torch.tensor([1])))
    assert torch.equal(maps(model, images, Target(torch.tensor([1]))), first)
    after, now = state(model)
    assert after == modules
    for (wanted, gradient, before), (wants, has, value) in zip(parameters, now, strict=True):
        assert (wanted, gradient) == (wants, has)
        assert torch.equal(before, value)
    pixels = images.clone().requires_grad_()
    model.eval()(pixels)[0, 1].backward()
    assert not torch.equal(pixels.grad, first)  # plain backpropagation again


@pytest.mark.parametrize(
    ("target", "rule", "hint"),
    [
        (Target(CLASSES, "relu66"), "guided", "Did you mean relu6"),
        (Target(CLASSES), "guidd", "Did you mean guided"),
        (Target(CLASSES[:2]), "guided", "as many channels"),
        (Target([1, 7, 3]), "guided", r"must be a tensor .*, not \[1, 7, 3\]"),
        (Target(CLASSES[0]), "guided", r"must be a tensor .*, not torch.int64 \(\)"),
        (Target(CLASSES.float()), "guided", "not torch.float32"),
        (Target(CLASSES > 2), "guided", "not torch.bool"),
        (Target(CLASSES, None, torch.zeros(3, 2, dtype=torch.int64)), "guided", "give no places"),
        (Target(torch.tensor([0, 0, -1]), "relu3"), "guided", "channel -1"),
    ],
)
def test_a_target_that_is_not_there_is_refused(target, rule, hint):
    with pytest.raises(UserError, match=hint):
        maps(network("all-cnn-c"), IMAGES, target, rule)


def test_classes_may_be_whole_numbers_of_any_kind():
    model = network("all-cnn-c")
    for kind in (torch.uint8, torch.int16, torch.int32):
        assert torch.equal(maps(model, IMAGES, Target(CLASSES.to(kind))), maps(model, IMAGES, Target(CLASSES)))
