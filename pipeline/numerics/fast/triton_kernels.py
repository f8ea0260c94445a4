"""The operations of pointwise.py as Triton kernels, for dense CUDA tensors in channels_last format.

Dropout masks are those of dropout.py, bit for bit. A dropped value is stored as -0.0 and a kept zero as 0.0, so that
the backward pass can tell them apart without a mask: a kept value that is zero, such as at a zero border, still passes
its gradient on. With TRITON_INTERPRET=1 the kernels run on a CPU, where tests compare them with torch.
"""

# pyright: reportArgumentType=false
# (Triton's constexpr parameters get plain numbers)

import torch
import triton
import triton.language as tl
from torch import Tensor

from pipeline.numerics.dropout import MIX, PER_WORD, hash_words, threshold
from pipeline.paper.recipes import Recipe

BLOCK = 1024  # values per program
ROWS = 32  # pixels that a program of the backward pass reads at a time
LARGE = 2**31 - BLOCK  # values from which a 32-bit index would overflow
PROGRAMS = 1024  # of the backward pass, at most; each writes one row of partial sums


def activate(
    x_NCHW: Tensor, bias: Tensor | None, slope: float, keys_N: Tensor | None, p: float, real: int | None = None
) -> Tensor:
    """As pointwise.activate, in a new tensor; ValueError unless `x_NCHW` is dense and channels_last."""
    _dense(x_NCHW)
    channels, values = x_NCHW.shape[1], x_NCHW[0].numel()
    real = real or channels
    out = torch.empty_like(x_NCHW)
    count = x_NCHW.numel()
    drop = keys_N is not None
    keys_N = keys_N.contiguous() if drop else x_NCHW  # a worker's share is every n-th key: not contiguous
    table = hash_words(-(-(values // channels * real) // PER_WORD), str(x_NCHW.device)) if drop else x_NCHW
    _activate[(triton.cdiv(count, BLOCK),)](
        x_NCHW, x_NCHW if bias is None else bias, keys_N, table, out,
        count, values, channels, real, slope, 1 / (1 - p) if drop else 1.0, threshold(p) if drop else 0,
        MIX, BIAS=bias is not None, DROP=drop, PART=real < channels, LARGE=count >= LARGE, BLOCK=BLOCK,
    )  # fmt: skip
    return out


def activate_backward(
    above_NCHW: Tensor, out_NCHW: Tensor, slope: float, scale: float, dropped: bool
) -> tuple[Tensor, Tensor]:
    """The gradients of `activate`'s input (N, C, H, W) and of its bias (C,), bit for bit the same in every call.

    `above_NCHW` is the gradient of its output `out_NCHW`, `scale` is 1 / (1 - p), or 1 without dropout, and `dropped`
    says whether it was called with keys. ValueError unless `out_NCHW` is dense and channels_last.
    """
    above_NCHW = above_NCHW.contiguous(memory_format=torch.channels_last)
    _dense(out_NCHW)
    channels = out_NCHW.shape[1]
    pixels = out_NCHW.numel() // channels
    each = max(ROWS, triton.cdiv(triton.cdiv(pixels, PROGRAMS), ROWS) * ROWS)
    programs = triton.cdiv(pixels, each)
    below = torch.empty_like(out_NCHW)
    partial = torch.empty(programs, channels, dtype=torch.float32, device=out_NCHW.device)
    _backward[(programs,)](
        above_NCHW, out_NCHW, below, partial, pixels, channels, each, slope, scale,
        DROP=dropped, ROWS=ROWS, WIDTH=triton.next_power_of_2(channels),
    )  # fmt: skip
    return below, partial.sum(0).to(out_NCHW.dtype)


def update(master: Tensor, velocity: Tensor, gradient: Tensor, shadow: Tensor | None, lr: Tensor, how: Recipe) -> None:
    """As pointwise.update."""
    _update[(triton.cdiv(master.numel(), BLOCK),)](
        master, velocity, gradient, master if shadow is None else shadow, lr, master.numel(), how.momentum,
        how.weight_decay, NESTEROV=how.nesterov, SHADOW=shadow is not None, BLOCK=BLOCK,
    )  # fmt: skip


def _dense(x_NCHW: Tensor) -> None:
    if not x_NCHW.is_contiguous(memory_format=torch.channels_last):
        raise ValueError(f"the kernels want channels last and dense, not strides {x_NCHW.stride()}")


@triton.jit
def _activate(
    x, bias, keys, table, out, count, values, channels, real, slope, scale, least, mix,
    BIAS: tl.constexpr, DROP: tl.constexpr, PART: tl.constexpr, LARGE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    if LARGE:
        program = program.to(tl.int64)
    at = program * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    channel = at % channels
    value = tl.load(x + at, mask=inside, other=0).to(tl.float32)
    if BIAS:
        value += tl.load(bias + channel, mask=inside, other=0).to(tl.float32)
    value = tl.where(value < 0, value * slope, value)
    if DROP:
        key = tl.load(keys + at // values, mask=inside, other=0)
        number = at % values
        if PART:
            number = number // channels * real + channel
        word = tl.load(table + number // 4, mask=inside & (channel < real), other=0)
        hashed = ((key * word) >> 32) * mix
        sixteen = (hashed >> (number % 4 * 16)).to(tl.int16, bitcast=False)
        value += 0.0  # -0.0 becomes 0.0
        kept = tl.where(sixteen.to(tl.int32) >= least, value * scale, -0.0)
        value = tl.where(channel < real, kept, value)
    tl.store(out + at, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _backward(
    above, out, below, partial, pixels, channels, each, slope, scale,
    DROP: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    channel = tl.arange(0, WIDTH)
    total = tl.zeros([WIDTH], dtype=tl.float32)
    first = tl.program_id(0).to(tl.int64) * each
    for begin in range(0, each, ROWS):
        pixel = first + begin + tl.arange(0, ROWS)
        inside = (pixel < pixels)[:, None] & (channel < channels)[None, :]
        at = pixel[:, None] * channels + channel[None, :]
        came = tl.load(out + at, mask=inside, other=0).to(tl.float32)
        passed = tl.load(above + at, mask=inside, other=0).to(tl.float32) * scale
        passed = tl.where(came > 0, passed, passed * slope)
        if DROP:
            passed = tl.where((came == 0) & (came.to(tl.int32, bitcast=True) < 0), 0.0, passed)
        tl.store(below + at, passed.to(below.dtype.element_ty), mask=inside)
        total += tl.sum(passed, 0)
    tl.store(partial + tl.program_id(0) * channels + channel, total, mask=channel < channels)


@triton.jit
def _update(
    master, velocity, gradient, shadow, lr, count, momentum, decay,
    NESTEROV: tl.constexpr, SHADOW: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    weight = tl.load(master + at, mask=inside, other=0)
    slope = tl.load(gradient + at, mask=inside, other=0).to(tl.float32) + decay * weight
    speed = momentum * tl.load(velocity + at, mask=inside, other=0) + slope
    step = slope + momentum * speed if NESTEROV else speed
    weight -= tl.load(lr) * step
    tl.store(velocity + at, speed, mask=inside)
    tl.store(master + at, weight, mask=inside)
    if SHADOW:
        tl.store(shadow + at, weight.to(shadow.dtype.element_ty), mask=inside)
