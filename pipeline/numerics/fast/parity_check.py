"""The gate before training, second half: what trains is the table computed directly, and must be the model that
numerics/model_check.py has held against the table."""

import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.numerics.dropout import begin_batch, dropouts, epoch_keys
from pipeline.numerics.fast.forward import logits
from pipeline.numerics.fast.trainer import Trainer

NEAR = {"float32": 1e-3, "bfloat16": 0.1}  # of the largest score: rounding in every layer comes to less
IMAGES = 2


@torch.no_grad()
def check_parity(trainer: Trainer) -> None:
    """Refused unless the trainer scores an image as its model does, dropout on, on this device and in this mode."""
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
    """The image as the first layer's weights want it."""
    wide = image.new_zeros(len(image), first.shape[1], *image.shape[2:], dtype=first.dtype)
    wide[:, : image.shape[1]] = image
    return wide.contiguous(memory_format=torch.channels_last)
