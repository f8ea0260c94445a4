"""Witnesses: the numbers of Figure 1b, and captum."""

import warnings

import pytest
import torch
from torch import nn

from pipeline.numerics.initialise import initialise
from pipeline.numerics.network import build
from pipeline.numerics.saliency import class_maps, guided
from pipeline.paper.networks import TWELVE, narrow


def test_guided_relu_gives_the_numbers_of_figure_1b():
    below = torch.tensor([[1.0, -1, 5], [2, -5, -7], [-3, 2, 4]], requires_grad=True)
    above = torch.tensor([[-2.0, 3, -1], [6, -3, 1], [2, -1, 3]])
    relu = nn.ReLU()
    with guided(relu):
        relu(below).backward(above)
    assert below.grad.tolist() == [[0, 0, 0], [6, 0, 0], [0, 0, 3]]


def network(name):
    model = build(narrow(TWELVE[name], 6))
    initialise(model, "he", 0, None)
    return model.eval()


@pytest.mark.parametrize("name", ["model-b", "strided-cnn-a", "convpool-cnn-c", "all-cnn-c"])
def test_maps_are_captums(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from captum.attr import GuidedBackprop

        model, images, classes = network(name), torch.randn(3, 3, 32, 32), torch.tensor([1, 7, 3])
        theirs = GuidedBackprop(model).attribute(images.clone(), target=classes)
    assert theirs.abs().max() > 0
    torch.testing.assert_close(class_maps(model, images, classes), theirs, rtol=1e-6, atol=1e-9)


def test_a_batch_is_its_images_one_by_one():
    model, images, classes = network("all-cnn-c"), torch.randn(3, 3, 32, 32), torch.tensor([1, 7, 3])
    one_by_one = torch.cat([class_maps(model, images[i : i + 1], classes[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(class_maps(model, images, classes), one_by_one, rtol=1e-5, atol=1e-8)


def test_the_model_is_left_as_it_was_even_after_an_error():
    model, images = network("all-cnn-c").train(), torch.randn(1, 3, 32, 32)
    first = class_maps(model, images, torch.tensor([1]))
    with pytest.raises(RuntimeError):
        class_maps(model, images, torch.tensor([11]))
    assert model.training
    assert torch.equal(class_maps(model, images, torch.tensor([1])), first)
    images.requires_grad_()
    model.eval()(images)[0, 1].backward()
    assert not torch.equal(images.grad, first)  # plain backpropagation again
