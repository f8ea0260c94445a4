"""Counts on a data set; who wants percent divides once, at the end."""

import torch
from torch import nn

from pipeline.numerics.batches import Images, in_order


@torch.inference_mode()
def count_wrong(model: nn.Module, data: Images) -> tuple[int, int]:
    """(wrong, seen) with dropout off; the model comes back in the mode it was in."""
    was_training = model.training
    model.eval()
    wrong = sum(int((model(images).argmax(1) != labels).sum()) for images, labels in in_order(data))
    model.train(was_training)
    return wrong, len(data)
