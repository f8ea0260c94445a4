"""Dropout without state: a function of (seed, layer, epoch, the image's position in the epoch, the value's position).

For each dropout layer, each image of an epoch has a 64-bit key, drawn when the epoch begins. There is one fixed odd
64-bit word for every four values of the layer, in the order row, column, channel. The product of key and word is mixed
into four 16-bit numbers, one per value, and a value is dropped if its number is below a threshold. An image's mask
therefore does not depend on the batch, the worker or the device.

Shapes: L dropout layers, E images of an epoch, B of a batch, V values of an image in a layer, W words.
"""

from functools import cache

import torch
from torch import Tensor, nn

from pipeline.numerics.random_streams import generator_for

PER_WORD = 4  # values per 64-bit word, 16 bits each
MIX = -0x61C8864680B583EB  # 2^64 divided by the golden ratio, as a signed 64-bit number


class KeyedDropout(nn.Module):
    """In training, sets each value to zero with probability p and divides the others by 1 - p.

    `begin_batch` must have set the keys of the batch's images: without keys, `forward` raises RuntimeError in training.
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
    """The keys of an epoch, counted from 0, for `layers` dropout layers: (L, E) int64, on the CPU.

    Column i is for the image at position i of the epoch.
    """
    keys_LE = torch.empty(layers, images, dtype=torch.int64)
    for layer in range(layers):
        keys_LE[layer].random_(generator=generator_for(seed, "dropout", layer, epoch))
    return keys_LE


def begin_batch(model: nn.Module, keys_LB: Tensor) -> None:
    """Set the keys (L, B) of the next batch's images in all dropout layers of the model."""
    for layer, module in enumerate(dropouts(model)):
        module.keys_B = keys_LB[layer]


def dropouts(model: nn.Module) -> list[KeyedDropout]:
    """The dropout layers in the order of the model; layer l reads row l of the keys."""
    return [module for module in model.modules() if isinstance(module, KeyedDropout)]


def dropout_mask(keys_B: Tensor, shape: torch.Size, p: float, dtype: torch.dtype) -> Tensor:
    """The factor for each value of a batch: 0 with probability p, else 1 / (1 - p).

    `keys_B` is int64 on the device; `shape` is (B, C, H, W) or (B, ...). Returns a tensor of this shape and `dtype`.
    """
    values = shape[1:].numel()
    words_BW = keys_B[:, None] * hash_words(-(-values // PER_WORD), str(keys_B.device))
    words_BW >>= 32  # only the upper 32 bits of a product depend on all bits of the key
    words_BW *= MIX
    numbers_BV = words_BW.view(torch.int16)[:, :values]
    keep_BV = numbers_BV.ge_(threshold(p))
    if dtype is torch.bfloat16:  # times the factor's bit pattern: several times faster than converting the mask
        factor = torch.tensor(1 / (1 - p), dtype=dtype).view(torch.int16).item()
        factor_BV = keep_BV.mul_(factor).view(dtype)
    else:
        factor_BV = keep_BV.to(dtype).mul_(1 / (1 - p))
    if len(shape) != 4:
        return factor_BV.view(shape)
    batch, channels, high, wide = shape
    return factor_BV.view(batch, high, wide, channels).permute(0, 3, 1, 2)


def threshold(p: float) -> int:
    """The integer that a uniform signed 16-bit number reaches or exceeds with probability 1 - p."""
    return round(p * 2**16) - 2**15


@cache  # never freed: a CUDA graph reads the words at the same address in every replay
def hash_words(count: int, device: str) -> Tensor:
    """The first `count` of the fixed odd words, (count,) int64, on the device."""
    drawn_W = torch.empty(count, dtype=torch.int64).random_(generator=generator_for(0, "dropout words")).bitwise_or_(1)
    return drawn_W.to(device)
