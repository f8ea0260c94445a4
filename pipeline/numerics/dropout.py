"""Dropout as a function of (seed, layer, epoch, the image's place in the epoch, the value): no state is ever kept.

Every place of an epoch has a 64-bit key for every dropout layer, drawn once an epoch. Multiplied with a fixed odd word
for every four values of the layer and mixed, it gives four 16-bit numbers, one a value, in the order row, column,
channel. So a mask is the same in whatever batch, on whatever worker and device its image is shown.
"""

from functools import cache

import torch
from torch import Tensor, nn

from pipeline.numerics.random_streams import generator_for

LANES = 4  # values that share one word
MIX = -0x61C8864680B583EB  # 2^64 over the golden ratio, as a signed number


class KeyedDropout(nn.Module):
    """Sets a share of single values to zero while training, and scales the others; see `begin_batch`."""

    def __init__(self, share: float):
        super().__init__()
        self.p = share
        self.keys_B: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if self.keys_B is None:
            raise RuntimeError("call begin_batch(model, keys) before every batch that trains a model with dropout")
        return x * kept(self.keys_B, x.shape, self.p, x.dtype)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def epoch_keys(seed: int, epoch: int, layers: int, images: int) -> Tensor:
    """The keys (layers, images) of an epoch, int64, on the CPU; column i is that of the epoch's i-th image."""
    keys_LE = torch.empty(layers, images, dtype=torch.int64)
    for layer in range(layers):
        keys_LE[layer].random_(generator=generator_for(seed, "dropout", layer, epoch))
    return keys_LE


def begin_batch(model: nn.Module, keys_LB: Tensor) -> None:
    """Give every dropout layer the keys of the images that come next."""
    for layer, module in enumerate(dropouts(model)):
        module.keys_B = keys_LB[layer]


def dropouts(model: nn.Module) -> list[KeyedDropout]:
    """The dropout layers in order, whose places here are their numbers."""
    return [module for module in model.modules() if isinstance(module, KeyedDropout)]


def kept(keys_B: Tensor, shape: torch.Size, share: float, dtype: torch.dtype) -> Tensor:
    """What a batch of values (B, C, H, W), or (B, ...), is multiplied with: 0, or 1 / (1 - share)."""
    values = shape[1:].numel()
    words_BW = keys_B[:, None] * words(-(-values // LANES), str(keys_B.device))
    words_BW >>= 32  # only the upper half of a product depends on all bits of its factors
    words_BW *= MIX
    numbers_BV = words_BW.view(torch.int16)[:, :values]
    keep_BV = numbers_BV.ge_(threshold(share))
    if dtype is torch.bfloat16:  # multiplied as the bits of one number: several times faster than a conversion
        factor = torch.tensor(1 / (1 - share), dtype=dtype).view(torch.int16).item()
        factor_BV = keep_BV.mul_(factor).view(dtype)
    else:
        factor_BV = keep_BV.to(dtype).mul_(1 / (1 - share))
    if len(shape) != 4:
        return factor_BV.view(shape)
    batch, channels, high, wide = shape
    return factor_BV.view(batch, high, wide, channels).permute(0, 3, 1, 2)


def threshold(share: float) -> int:
    """A signed 16-bit number is at least this with probability 1 - share."""
    return round(share * 2**16) - 2**15


@cache  # never given up: recorded steps read them where they lie
def words(count: int, device: str) -> Tensor:
    """The first of the fixed odd words, int64."""
    drawn_W = torch.empty(count, dtype=torch.int64).random_(generator=generator_for(0, "dropout words")).bitwise_or_(1)
    return drawn_W.to(device)
