"""Dropout as a function of (seed, layer, epoch, the image's place in the epoch, the value): there is no state.

Every image of an epoch has a 64-bit key for every dropout layer, drawn once an epoch. Its product with a fixed odd
word, one for every four values of the layer, is mixed to four 16-bit numbers, one a value, in the order row, column,
channel. A value is dropped where its number lies below a threshold. So an image's mask does not depend on the batch,
the worker or the device.

Shapes: L dropout layers, E images of an epoch, B of a batch, V values of an image in a layer, W words.
"""

from functools import cache

import torch
from torch import Tensor, nn

from pipeline.numerics.random_streams import generator_for

PER_WORD = 4  # values that use one word, 16 bits each
MIX = -0x61C8864680B583EB  # 2^64 over the golden ratio, as a signed number


class KeyedDropout(nn.Module):
    """Sets each value to zero with probability p while training, and divides the others by 1 - p.

    `begin_batch` gives it the keys of a batch's images; RuntimeError in training without.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.keys_B: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if self.keys_B is None:
            raise RuntimeError("call begin_batch(model, keys) before every batch that trains a model with dropout")
        return x * dropout_mask(self.keys_B, x.shape, self.p, x.dtype)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def epoch_keys(seed: int, epoch: int, layers: int, images: int) -> Tensor:
    """The keys (L, E) of an epoch, int64, on the CPU; column i belongs to the epoch's i-th image."""
    keys_LE = torch.empty(layers, images, dtype=torch.int64)
    for layer in range(layers):
        keys_LE[layer].random_(generator=generator_for(seed, "dropout", layer, epoch))
    return keys_LE


def begin_batch(model: nn.Module, keys_LB: Tensor) -> None:
    """Give every dropout layer the keys (L, B) of the images that come next."""
    for layer, module in enumerate(dropouts(model)):
        module.keys_B = keys_LB[layer]


def dropouts(model: nn.Module) -> list[KeyedDropout]:
    """The dropout layers in the order of the model; layer l reads row l of the keys."""
    return [module for module in model.modules() if isinstance(module, KeyedDropout)]


def dropout_mask(keys_B: Tensor, shape: torch.Size, p: float, dtype: torch.dtype) -> Tensor:
    """The factor of each value of a batch (B, C, H, W), or (B, ...): 0 with probability p, else 1 / (1 - p)."""
    values = shape[1:].numel()
    words_BW = keys_B[:, None] * hash_words(-(-values // PER_WORD), str(keys_B.device))
    words_BW >>= 32  # only the upper half of a product depends on all bits of its factors
    words_BW *= MIX
    numbers_BV = words_BW.view(torch.int16)[:, :values]
    keep_BV = numbers_BV.ge_(threshold(p))
    if dtype is torch.bfloat16:  # multiplied as the bits of one number: several times faster than a conversion
        factor = torch.tensor(1 / (1 - p), dtype=dtype).view(torch.int16).item()
        factor_BV = keep_BV.mul_(factor).view(dtype)
    else:
        factor_BV = keep_BV.to(dtype).mul_(1 / (1 - p))
    if len(shape) != 4:
        return factor_BV.view(shape)
    batch, channels, high, wide = shape
    return factor_BV.view(batch, high, wide, channels).permute(0, 3, 1, 2)


def threshold(p: float) -> int:
    """A signed 16-bit number is at least this with probability 1 - p."""
    return round(p * 2**16) - 2**15


@cache  # kept for ever: a CUDA graph reads them at the same address in every replay
def hash_words(count: int, device: str) -> Tensor:
    """The first `count` of the fixed odd words, (count,) int64, on the device."""
    drawn_W = torch.empty(count, dtype=torch.int64).random_(generator=generator_for(0, "dropout words")).bitwise_or_(1)
    return drawn_W.to(device)
