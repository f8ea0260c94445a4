"""The benchmarks' clock: "seconds of work" are CPU time of this process on a CPU, and wall-clock time on a GPU.

CPU time, unlike wall-clock time, does not grow when other processes use the machine.
"""

import time

import torch


def now(device: str) -> float:
    """The current time in seconds of work; on a GPU, after waiting until it is idle."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def matrix_rate(device: str, dtype: torch.dtype, seconds: float) -> float:
    """FLOP per second of work in a product of two square matrices of `dtype`: the best of those made in `seconds`."""
    side = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    torch.mm(a, b)
    best, until = 0.0, time.monotonic() + seconds
    while best == 0 or time.monotonic() < until:
        began = now(device)
        torch.mm(a, b)
        best = max(best, 2 * side**3 / max(now(device) - began, 1e-9))
    return best
