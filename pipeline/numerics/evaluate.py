"""Counts on a data set; who wants percent divides once, at the end."""

import torch
from torch import nn

from pipeline.numerics.loader import Loader
from pipeline.numerics.process_group import ALONE, ProcessGroup

TIE = 1e-4  # of an image's largest score: float32 on two devices agrees to about a tenth of this


@torch.inference_mode()
def count_wrong(model: nn.Module, loader: Loader, workers: ProcessGroup = ALONE) -> tuple[int, int]:
    """(wrong, seen) with dropout off, of all workers together; the model comes back in the mode it was in."""
    was_training = model.training
    model.eval()
    shown = loader.evaluation_batches(rank=workers.rank, workers=workers.count)
    wrong = sum(int((model(images).argmax(1) != labels).sum()) for images, labels in shown)
    model.train(was_training)
    device = next(model.parameters(), torch.empty(0)).device
    return workers.all_reduce_int(wrong, device), len(loader)


@torch.inference_mode()
def count_ties(model: nn.Module, loader: Loader) -> int:
    """The images whose two best classes another device may round the other way; the model is in eval mode.

    Scores that are level to the last bit are none: a dead network has them on every device.
    """
    ties = 0
    for images, _ in loader.evaluation_batches():
        scores_BC = model(images)
        first_B, second_B = scores_BC.topk(2).values.unbind(1)
        apart_B = first_B - second_B
        ties += int(((apart_B > 0) & (apart_B <= TIE * scores_BC.abs().amax(1))).sum())
    return ties
