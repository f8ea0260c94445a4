"""The paths in processes of their own, as they would be used: what one does to its memory helps no other."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from pipeline.bench import baseline
from pipeline.bench.clock import matrix_rate, now
from pipeline.bench.workload import Fast, Workload, drawn
from pipeline.numerics.fast.precision import Mode
from pipeline.paper.networks import Network
from pipeline.runtime.allocator import keep_freed
from pipeline.runtime.limits import cores


@dataclass(frozen=True)
class Seconds:
    """An image's share of one repeat, all networks together."""

    work: float  # clock.py's
    wall: float


class BenchProcess:
    """A process that trains on one of the paths when it is told to: "fast", "plain" as in a tutorial, or "tuned".

    The plain loop loads its images itself on a CPU, where other processes would only take its core; with two more
    beside a GPU, as tutorials have it; tuned, with one for every core but its own.
    """

    def __init__(self, path: str, device: str):
        context = get_context("spawn")
        self.path = path
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(path, device, theirs))
        self._process.start()

    def prepare(self, networks: list[Network], work: Workload, mode: Mode | None = None) -> str:
        """Build what is to be measured and make its first steps; returns the mode it computes in."""
        return self._ask("prepare", networks, work, mode)

    def matrix_rate(self, precision: str, seconds: float) -> float:
        """Of this very process."""
        return self._ask("rate", precision, seconds)

    def run(self) -> Seconds:
        """One repeat of the work."""
        self.start()
        return self.finish()

    def start(self) -> None:
        """Begin a repeat, while other sides do the same."""
        self._pipe.send(("run",))

    def finish(self) -> Any:
        """Wait for what was begun."""
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join()

    def _ask(self, *words: Any) -> Any:
        self._pipe.send(words)
        return self.finish()


class _Served:
    """What a side has built."""

    def __init__(self, path: str, device: str):
        self.path, self.device = path, device
        self.step: Callable[[], int] = lambda: 0
        self.work = Workload(1, 1, 1)

    def prepare(self, networks: list[Network], work: Workload, mode: Mode | None) -> str:
        self.work = work
        if self.path == "fast":
            fast = Fast(networks, work, self.device, mode)
            fast.warm_up()
            self.step, said = fast.step, str(fast.mode)
        else:
            loaders = cores() - 1 if self.path == "tuned" else 2 if self.device == "cuda" else 0
            loop = baseline.Loop(networks[0], work.recipe, *drawn(work.images), self.device, loaders)
            self.step, said = loop.step, "float32"
        self.step()
        return said

    def rate(self, precision: str, seconds: float) -> float:
        return matrix_rate(self.device, getattr(torch, precision), seconds)

    def run(self) -> Seconds:
        began, work = time.perf_counter(), now(self.device)
        taken = 0
        while taken < self.work.steps * self.work.batch:
            taken += self.step()
        return Seconds((now(self.device) - work) / taken, (time.perf_counter() - began) / taken)


def _serve(path: str, device: str, pipe: Connection) -> None:
    """What the process does until it is told nothing more."""
    torch.set_num_threads(1)
    if path == "fast":
        keep_freed()
    served = _Served(path, device)
    while (words := _heard(pipe)) is not None:
        try:
            pipe.send(getattr(served, words[0])(*words[1:]))
        except Exception as error:  # raised where the measurement was asked for; not every one can be sent as it is
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _heard(pipe: Connection) -> Any:
    """What is asked next; None when nothing more will be, as when the asker has died."""
    try:
        return pipe.recv()
    except EOFError:
        return None
