"""Counts on a data set; who wants percent divides once, at the end."""

import torch
from torch import nn

from pipeline.numerics.batches import Feed
from pipeline.numerics.workers import ALONE, Workers


@torch.inference_mode()
def count_wrong(model: nn.Module, feed: Feed, workers: Workers = ALONE) -> tuple[int, int]:
    """(wrong, seen) with dropout off, of all workers together; the model comes back in the mode it was in."""
    was_training = model.training
    model.eval()
    shown = feed.evaluation(rank=workers.rank, workers=workers.count)
    wrong = sum(int((model(images).argmax(1) != labels).sum()) for images, labels in shown)
    model.train(was_training)
    device = next(model.parameters(), torch.empty(0)).device
    return workers.total(wrong, device), len(feed)
