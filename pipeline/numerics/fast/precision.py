"""How numbers are computed: a fact of a run, no part of its identity. Loss, update and evaluation stay float32."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.nn.functional import conv2d

from pipeline.errors import UserError
from pipeline.paper.networks import Network

PRECISIONS = ("float32", "bfloat16")
GAIN = 1.3  # what bfloat16 must win in the probe: about 2 where the processor has it, below 1 where it has not
NARROW = 16  # channels; below, conversions and small calls cost a CPU more than bfloat16 saves
PROBE_SECONDS = 0.4


@dataclass(frozen=True)
class Mode:
    """How a run's numbers are computed."""

    precision: str = "float32"  # of activations, their gradients and the weights that meet them
    deterministic: bool = True  # the same bits again on the same device; a CPU always is
    graph: bool = False  # whole steps are replayed as CUDA graphs

    def __str__(self) -> str:
        words = [
            self.precision,
            "graph" if self.graph else "",
            "deterministic" if self.graph and self.deterministic else "",
        ]
        return " ".join(word for word in words if word)

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.precision)


def choose_mode(
    network: Network, device: str, precision: str | None = None, deterministic: bool = False, graph: bool = True
) -> Mode:
    """The mode for training this network on this device; `precision` overrides the probe."""
    if precision is not None and precision not in PRECISIONS:
        raise UserError(f"the precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if device == "cpu":
        wide = min(conv.width for conv in network.convs[:-1] or network.convs) >= NARROW
        return Mode(precision or ("bfloat16" if wide and bfloat16_gain() >= GAIN else "float32"))
    fast = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return Mode(precision or fast, deterministic, graph)


def set_backend_flags(mode: Mode) -> None:
    """Tell the GPU's library what the mode allows; evaluation is float32 in either."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = mode.deterministic
    torch.backends.cudnn.benchmark = not mode.deterministic


@lru_cache(maxsize=1)
def bfloat16_gain() -> float:
    """How much faster this process trains a convolution of the paper in bfloat16; measured once, in a second."""
    return _seconds(_convolution(torch.float32)) / _seconds(_convolution(torch.bfloat16))


def _convolution(dtype: torch.dtype) -> Callable[[], None]:
    """One 3x3 convolution, 96 to 96 channels, forward and backward."""
    x = torch.ones(16, 96, 16, 16, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    w = torch.ones(96, 96, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()

    def once() -> None:
        torch.autograd.grad(conv2d(x, w, padding=1).sum(), (x, w))

    return once


def _seconds(call: Callable[[], None]) -> float:
    """CPU time of one call: the least of several, so that a busy neighbor changes nothing."""
    call()
    least, until = float("inf"), time.monotonic() + PROBE_SECONDS
    while time.monotonic() < until:
        began = time.thread_time()
        call()
        least = min(least, time.thread_time() - began)
    return least
