"""Seconds of work: CPU time of this process, which a busy neighbor does not lengthen; on a GPU, until it is idle."""

import time

import torch


def now(device: str) -> float:
    """A moment, in seconds of work."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def matrix_rate(device: str, dtype: torch.dtype, seconds: float) -> float:
    """Floating-point operations a second of the best of several products of two square matrices."""
    side = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    torch.mm(a, b)
    best, until = 0.0, time.monotonic() + seconds
    while best == 0 or time.monotonic() < until:
        began = now(device)
        torch.mm(a, b)
        best = max(best, 2 * side**3 / max(now(device) - began, 1e-9))
    return best
