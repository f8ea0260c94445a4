"""Evaluation of a model on a data set, in counts of images. Percentages are computed only where they are shown."""

import torch
from torch import nn

from pipeline.numerics.loader import Loader
from pipeline.numerics.process_group import ALONE, ProcessGroup

# Two scores of an image are a tie if they differ by less than this share of its largest absolute score. In float32 two
# devices agree to about a tenth of it.
TIE = 1e-4


@torch.inference_mode()
def count_wrong(model: nn.Module, loader: Loader, workers: ProcessGroup = ALONE) -> tuple[int, int]:
    """Misclassified images and all images, with dropout off: (wrong, seen), summed over all workers.

    Each worker evaluates its share of the batches; PeerLost where another worker has ended. The model's training mode
    is restored.
    """
    was_training = model.training
    model.eval()
    shown = loader.evaluation_batches(rank=workers.rank, workers=workers.count)
    wrong = sum(int((model(images).argmax(1) != labels).sum()) for images, labels in shown)
    model.train(was_training)
    device = next(model.parameters(), torch.empty(0)).device
    return workers.all_reduce_int(wrong, device), len(loader)


@torch.inference_mode()
def count_ties(model: nn.Module, loader: Loader) -> int:
    """The number of images whose two highest class scores tie: another device may predict the other class.

    Exactly equal scores do not count, because those of a dead network are equal on every device. The model must be in
    eval mode.
    """
    ties = 0
    for images, _ in loader.evaluation_batches():
        scores_BC = model(images)
        first_B, second_B = scores_BC.topk(2).values.unbind(1)
        apart_B = first_B - second_B
        ties += int(((apart_B > 0) & (apart_B <= TIE * scores_BC.abs().amax(1))).sum())
    return ties
