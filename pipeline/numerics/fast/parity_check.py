"""The check before training that the fast forward pass gives the same class scores as the model.

numerics/model_check.py compares the model with the paper's table. Together they ensure that this network is trained.
"""

import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.numerics.dropout import begin_batch, dropouts, epoch_keys
from pipeline.numerics.fast.forward import logits
from pipeline.numerics.fast.trainer import Trainer

NEAR = {"float32": 1e-3, "bfloat16": 0.1}  # largest difference, as a share of the largest score; rounding stays below
IMAGES = 2


@torch.no_grad()
def check_parity(trainer: Trainer) -> None:
    """Raise a UserError unless the trainer's forward pass and its model give the same class scores, up to rounding.

    Compared are random images with dropout, on the trainer's device and in its mode. The model is left as it was.
    """
    model, keys_LB = trainer.model, epoch_keys(0, 0, trainer.dropped, IMAGES).to(trainer.device)
    side, channels = trainer.network.side, trainer.network.channels
    image = torch.randn(IMAGES, channels, side, side, generator=torch.Generator().manual_seed(0)).to(trainer.device)
    was_training = model.training
    begin_batch(model.train(), keys_LB)
    try:
        expected = model(image)
    finally:
        for module in dropouts(model):
            module.keys_B = None
        model.train(was_training)
    leaves = trainer.weights.compute_params
    found = logits(trainer.table, leaves, _padded(image, leaves[0]), keys_LB, channels)
    off = (found - expected).abs().max() / expected.abs().max().clamp(min=1e-12)
    if not off <= NEAR[trainer.mode.precision]:
        raise UserError(
            f"the fast path does not compute {trainer.network.name} on {trainer.device} in {trainer.mode}: "
            f"its scores are off by {off:.2g} of the largest. Nothing was trained. "
            "Set STRIVE_PRECISION=float32, and report it if that helps."
        )


def _padded(image: Tensor, first: Tensor) -> Tensor:
    """The image with the dtype and the number of channels of the first layer's weights."""
    wide = image.new_zeros(len(image), first.shape[1], *image.shape[2:], dtype=first.dtype)
    wide[:, : image.shape[1]] = image
    return wide.contiguous(memory_format=torch.channels_last)
