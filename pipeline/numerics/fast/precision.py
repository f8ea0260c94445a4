"""The numerical mode of a run: precision, determinism, CUDA graphs. It is recorded with a run, but not part of its id.

Loss, weight update and evaluation are float32 in every mode.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.nn.functional import conv2d

from pipeline.errors import UserError
from pipeline.paper.networks import Network

PRECISIONS = ("float32", "bfloat16")
GAIN = 1.3  # speedup by bfloat16 from which a CPU uses it: about 2 where it is native, below 1 where it is emulated
NARROW = 16  # channels; in narrower networks, conversions and small calls cost a CPU more than bfloat16 saves
PROBE_SECONDS = 0.4  # for each precision


@dataclass(frozen=True)
class Mode:
    """The numerical mode of a run."""

    precision: str = "float32"  # of activations, their gradients and the copy of the weights in the forward pass
    deterministic: bool = True  # bit for bit the same results again on the same device; a CPU always gives them
    graph: bool = False  # training steps are captured and replayed as CUDA graphs

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
    """The mode for training this network on `device`, "cpu" or "cuda".

    With `precision` None it is bfloat16 where the device computes it faster, which a CPU is measured for, else
    float32. On a CPU `deterministic` and `graph` are ignored. UserError for a precision that is not in PRECISIONS.
    """
    if precision is not None and precision not in PRECISIONS:
        raise UserError(f"the precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if device == "cpu":
        wide = min(conv.width for conv in network.convs[:-1] or network.convs) >= NARROW
        return Mode(precision or ("bfloat16" if wide and bfloat16_gain() >= GAIN else "float32"))
    fast = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return Mode(precision or fast, deterministic, graph)


def set_backend_flags(mode: Mode) -> None:
    """Set torch's global CUDA flags for this mode. TF32 is off in all, so that float32 is not rounded to it."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = mode.deterministic
    torch.backends.cudnn.benchmark = not mode.deterministic


@lru_cache(maxsize=1)
def bfloat16_gain() -> float:
    """Speedup of a convolution, forward and backward, by bfloat16 over float32 on this CPU; measured once per process.

    The first call takes about a second.
    """
    return _seconds(_convolution(torch.float32)) / _seconds(_convolution(torch.bfloat16))


def _convolution(dtype: torch.dtype) -> Callable[[], None]:
    """One 3x3 convolution, 96 to 96 channels, forward and backward."""
    x = torch.ones(16, 96, 16, 16, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
    w = torch.ones(96, 96, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()

    def once() -> None:
        torch.autograd.grad(conv2d(x, w, padding=1).sum(), (x, w))

    return once


def _seconds(call: Callable[[], None]) -> float:
    """CPU seconds of one call: the least of several, which other processes on the machine affect least."""
    call()
    least, until = float("inf"), time.monotonic() + PROBE_SECONDS
    while time.monotonic() < until:
        began = time.thread_time()
        call()
        least = min(least, time.thread_time() - began)
    return least
