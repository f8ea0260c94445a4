"""Processes that train for a measurement, each with one of the loops.

Separate processes, as in real use: what one loop does to the memory allocator does not affect the other.
"""

import time
from collections.abc import Callable
from contextlib import suppress
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
    """The time of one repeat, divided by its images; of all networks in the process together."""

    work: float  # seconds of work (clock.py)
    wall: float  # seconds of wall-clock time


class BenchProcess:
    """A process that trains on request with one loop: "fast", our fast loop; "plain" or "tuned", the plain loop.

    On a CPU the plain loop loads its images itself, because further processes would only compete for its core. On a GPU
    it has two DataLoader processes, as in tutorials. "tuned" has one for every core but its own.

    Methods raise RuntimeError with the process's own message if it failed.
    """

    def __init__(self, path: str, device: str):
        context = get_context("spawn")
        self.path = path
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(path, device, theirs))
        self._process.start()

    def prepare(self, networks: list[Network], work: Workload, mode: Mode | None = None) -> str:
        """Build the loop and run its first steps as a warm-up; returns the mode in words, such as "bfloat16".

        The plain loops take one network and are float32. `mode` None: the fast loop chooses it.
        """
        return self._ask("prepare", networks, work, mode)

    def matrix_rate(self, precision: str, seconds: float) -> float:
        """clock.matrix_rate in this process; `precision` is the name of a dtype of torch."""
        return self._ask("rate", precision, seconds)

    def run(self) -> Seconds:
        """Train one repeat of the work given to `prepare`; returns its time per image."""
        self.start()
        return self.finish()

    def start(self) -> None:
        """Begin a repeat without waiting for it, so that several processes can train at once."""
        self._send(("run",))

    def finish(self) -> Any:
        """Wait for the answer to the last request and return it: after `start`, the time per image as `Seconds`."""
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise self._gone() from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End the process."""
        with suppress(RuntimeError):  # it is gone already
            self._send(None)
        self._process.join()

    def _ask(self, *words: Any) -> Any:
        self._send(words)
        return self.finish()

    def _send(self, words: Any) -> None:
        try:
            self._pipe.send(words)
        except ConnectionError as error:
            raise self._gone() from error

    def _gone(self) -> RuntimeError:
        self._process.join()
        code = self._process.exitcode
        return RuntimeError(f"a process that trains has ended with code {code}; -9 is most often a lack of memory")


class _Server:
    """What runs in the process: its methods answer the requests of BenchProcess."""

    def __init__(self, path: str, device: str):
        self.path, self.device = path, device
        self.step: Callable[[], int] = lambda: 0
        self.work = Workload(1, 1, 1)

    def prepare(self, networks: list[Network], work: Workload, mode: Mode | None) -> str:
        self.work = work
        if self.path == "fast":
            fast = Fast(networks, work, self.device, mode)
            fast.warm_up()
            self.step, mode_used = fast.step, str(fast.mode)
        else:
            loaders = cores() - 1 if self.path == "tuned" else 2 if self.device == "cuda" else 0
            loop = baseline.Loop(networks[0], work.recipe, *drawn(work.images), self.device, loaders)
            self.step, mode_used = loop.step, "float32"
        self.step()
        return mode_used

    def rate(self, precision: str, seconds: float) -> float:
        return matrix_rate(self.device, getattr(torch, precision), seconds)

    def run(self) -> Seconds:
        began, work = time.perf_counter(), now(self.device)
        taken = 0
        while taken < self.work.steps * self.work.batch:
            taken += self.step()
        return Seconds((now(self.device) - work) / taken, (time.perf_counter() - began) / taken)


def _serve(path: str, device: str, pipe: Connection) -> None:
    """Answer requests until there are no more."""
    torch.set_num_threads(1)
    if path == "fast":
        keep_freed()
    server = _Server(path, device)
    while (words := _request(pipe)) is not None:
        try:
            pipe.send(getattr(server, words[0])(*words[1:]))
        except Exception as error:  # raised again by BenchProcess.finish; as text, since not every one can be pickled
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _request(pipe: Connection) -> Any:
    """The next request; None when there are no more, also because the parent process has ended."""
    try:
        return pipe.recv()
    except EOFError:
        return None
