"""Steps recorded as one CUDA graph, a branch for every trainer; replayed, they cost the host one call.

Nothing here runs without a GPU: execution.py is tested with branches called one after the other instead.
"""

from collections.abc import Sequence

import torch

from pipeline.numerics.fast.execution import Branch
from pipeline.numerics.fast.trainer import Trainer

WARM_UP = 2  # calls before recording: kernels are chosen, and compiled, in them


def record(trainers: Sequence[Trainer], branches: Sequence[Branch]) -> Branch:
    """Record the branches on streams of their own; the trainers' weights and counts come out as they went in."""
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
    """Every branch on a stream of its own, between two points of the current one."""
    here = torch.cuda.current_stream()
    for stream in streams:  # all of them first: one of torch's few streams may be `here` itself
        stream.wait_stream(here)
    try:
        for branch, stream in zip(branches, streams, strict=True):
            with torch.cuda.stream(stream):
                branch()
    finally:  # a recording that ends with a stream outside would hide what went wrong in it
        for stream in streams:
            here.wait_stream(stream)
