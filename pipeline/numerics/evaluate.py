"""Counts on a data set; who wants percent divides once, at the end."""

import torch
from torch import nn

from pipeline.numerics.batches import Feed


@torch.inference_mode()
def count_wrong(model: nn.Module, feed: Feed) -> tuple[int, int]:
    """(wrong, seen) with dropout off; the model comes back in the mode it was in."""
    was_training = model.training
    model.eval()
    wrong = sum(int((model(images).argmax(1) != labels).sum()) for images, labels in feed.evaluation())
    model.train(was_training)
    return wrong, len(feed)
