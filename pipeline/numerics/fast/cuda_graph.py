"""Capture of training steps as one CUDA graph with a parallel branch for each trainer; a replay is one host call.

This file needs a GPU. Without one, tests give execution.py a `Record` that calls the branches one after the other.
"""

from collections.abc import Sequence

import torch

from pipeline.numerics.fast.execution import Branch
from pipeline.numerics.fast.trainer import Trainer

WARM_UP = 2  # calls before capture, in which kernels are compiled and chosen


def record(trainers: Sequence[Trainer], branches: Sequence[Branch]) -> Branch:
    """Capture the branches, one per trainer, on a CUDA stream each; the function returned replays them all.

    Warm-up runs the branches, so the trainers' weights, velocities and counts are restored afterwards.
    """
    before = [[tensor.clone() for tensor in trainer.state] for trainer in trainers]
    streams = [torch.cuda.Stream() for _ in branches]
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            _forked(branches, streams)
    torch.cuda.current_stream().wait_stream(aside)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        _forked(branches, streams)
    for trainer, saved in zip(trainers, before, strict=True):
        for tensor, value in zip(trainer.state, saved, strict=True):
            tensor.copy_(value)
    return graph.replay


def _forked(branches: Sequence[Branch], streams: Sequence[torch.cuda.Stream]) -> None:
    """Run each branch on its own stream; the current stream waits for all of them."""
    here = torch.cuda.current_stream()
    for stream in streams:  # all before any branch: torch has few streams, and one of these may be `here` itself
        stream.wait_stream(here)
    try:
        for branch, stream in zip(branches, streams, strict=True):
            with torch.cuda.stream(stream):
                branch()
    finally:  # a capture that ends with unjoined streams fails with an error that would hide the branch's own
        for stream in streams:
            here.wait_stream(stream)
