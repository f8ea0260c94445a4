"""A driver of Ray in a process of its own, so that it can be stopped at any moment, and ends when this one ends.

Inside one process that could not be: Ray Train waits for its workers in a call that nothing interrupts outside the main
thread, and Prefect's tasks are other threads.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Self

from pipeline.errors import StoreAway, StoreError, UserError
from pipeline.runtime.child_process import end_with_parent, kill_tree
from pipeline.runtime.environment import child_environment
from pipeline.runtime.ray_check import is_joined, ray_folder

if TYPE_CHECKING:
    from pipeline.runtime.ray_cluster import Placement

HERE_SECONDS = 60.0  # of one core; shorter work is done in the process that wants it: starting Ray takes half of that
EVALUATION_FLOPS = 30e9  # a second, that one core computes of a network in float32
PHOTOGRAPHS = 278.0  # a second, that one core decodes and resizes, of 500 x 375 pixels
STOP_SECONDS = 6.0  # for Ray to end its processes; after that they are killed
# what Ray says before it ends a driver: one whose head is gone, one that asked a head which was started anew
HEAD_GONE = ("Failed to connect to GCS", "ray::gcs::")
FRAME = re.compile(r"\[0x[0-9a-f]+\]|^\s*@ ")  # a line of a stack trace of Ray's own code
REFUSED = 3  # exit status of a driver whose last line says what the user can do
AWAY = 4  # of one whose last line says that a store did not answer
ANSWER_TO = "DRIVER_ANSWERS_TO"  # the descriptor on which a driver answers
HOME = Path(__file__).parents[2]  # the folder of package `pipeline`; Ray's workers import from their driver's first


class FleetFailed(RuntimeError):
    """Ray could not do the work; the message has the end of what it said."""


class FleetStopped(FleetFailed):
    """It was stopped before all was done."""


class _Process:
    """The process of a driver, which waits for its order; one that stands by connects to Ray meanwhile."""

    def __init__(self, module: str, *workers: int | None):
        end_with_parent()
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  # read when it failed, and gone with us
        self._answer, answer_to = os.pipe()
        self.running = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *map(json.dumps, workers)],
            stdin=subprocess.PIPE,
            stdout=self.said,
            stderr=self.said,
            env=child_environment() | {"RAY_TMPDIR": ray_folder(), ANSWER_TO: str(answer_to)},
            cwd=HOME,
            pass_fds=[answer_to],
            start_new_session=True,  # Ctrl-C is for us, who then stop it in good order
        )
        os.close(answer_to)

    def answer(self) -> str:
        """What it answered, as soon as it did; empty when it ended without. Call it once."""
        with os.fdopen(self._answer, encoding="utf-8") as pipe:
            return pipe.read()

    def end(self) -> None:
        """Wait for its end, which follows its answer."""
        self.close()
        with self.said:
            self._wait()

    def close(self) -> None:
        """Let go of its standard input, at whose end it ends."""
        assert self.running.stdin is not None
        with suppress(BrokenPipeError):  # an order that it did not live to read
            self.running.stdin.close()

    def stop(self) -> None:
        """End it with all its processes."""
        self.running.terminate()
        self._wait()

    def _wait(self) -> None:
        try:
            self.running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            kill_tree(self.running.pid)
            self.running.wait()


_standing_by: dict[str, _Process] = {}  # by the module of their driver


@contextmanager
def standing_by(module: str, workers: int | None) -> Iterator[None]:
    """Inside, the first driver of `module` has been connecting to Ray since the beginning of the block."""
    _standing_by[module] = _Process(module, workers)
    try:
        yield
    finally:
        if unused := _standing_by.pop(module, None):
            unused.stop()
            unused.answer()  # none; it closes the pipe
            unused.end()


class Driver:
    """A process that carries out one order; it begins at once. `wait` for its end, or `stop` it from any thread.

    As a context manager it is stopped where the block ends by an exception, Ctrl-C among them.
    """

    def __init__(self, module: str, order: dict):
        self._stopped = False
        self._child = _standing_by.pop(module, None) or _Process(module)
        self._said, self._process = self._child.said, self._child.running
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already; `wait` says why
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()  # left open: when it closes, the driver knows that this process has ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:
            self.stop()

    def wait(self) -> str:
        """What it answered, when all is done; Ray may still be ending its processes.

        UserError when the user can change why it failed, StoreAway when its store was; FleetFailed with the end of
        what it said when it failed otherwise, FleetStopped when it was stopped.
        """
        if answer := self._child.answer():
            threading.Thread(target=self._child.end).start()  # a second or two; the interpreter's end waits for it
            return json.loads(answer)
        code = self._process.wait()
        self._child.close()
        with self._said:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip().splitlines()
        lines = [line for line in said if not FRAME.search(line)]
        if self._stopped:
            raise FleetStopped("stopped")
        if code == REFUSED:
            raise UserError(lines[-1])
        if code != 0 and any(words in line for line in said for words in HEAD_GONE):
            raise UserError(_head_gone())
        if code == -signal.SIGKILL:
            raise UserError(
                "the process that leads Ray was killed, perhaps for lack of memory: free some, then run the same "
                "command again; finished runs and checkpoints are kept"
            )
        if code == AWAY:
            raise StoreAway(lines[-1])
        if code != 0:
            raise FleetFailed("\n".join(lines[-15:]) or f"the fleet ended with code {code}")
        raise FleetFailed("the fleet ended without an answer")

    def stop(self) -> None:
        """End it with all its processes; finished runs and checkpoints are in the store."""
        self._stopped = True
        self._child.stop()


def _head_gone() -> str:
    if not is_joined():
        return "Ray's head process ended: run the same command again; finished runs and checkpoints are kept"
    return (
        f"the Ray head at RAY_ADDRESS={os.environ['RAY_ADDRESS']} is gone, or was started anew: "
        "see that it and its nodes run, then run the same command; finished runs and checkpoints are kept"
    )


def serve_parent(work: Callable[[dict, "Placement"], str | None]) -> None:
    """A driver's own process: read the order, connect, work, and end in good order, whatever happens.

    What `work` returns is the answer, before Ray ends; the sentence of its error is the last line said, after that.
    With a number of workers, or null, as its argument, it stands by: it connects before there is an order.
    """
    where = os.environ.pop(ANSWER_TO, "")
    answer_to = int(where) if where else os.dup(1)  # no Driver started this process; Ray, too, writes to its output
    os.set_inheritable(answer_to, False)  # Ray's processes live longer
    signal.signal(signal.SIGTERM, _unwind)
    orders: Queue[dict] = Queue()
    threading.Thread(target=_listen, args=[orders], daemon=True).start()
    order = None if sys.argv[1:] else orders.get()
    try:
        with _connected(json.loads(sys.argv[1]) if order is None else order["workers"]) as placement:
            answer = work(orders.get() if order is None else order, placement)
            with os.fdopen(answer_to, "w", encoding="utf-8") as pipe:
                json.dump(answer or "", pipe)
    except (UserError, StoreError) as error:
        print(error, flush=True)
        sys.exit(AWAY if isinstance(error, StoreAway) else REFUSED)


@contextmanager
def _connected(workers: int | None) -> Iterator["Placement"]:
    from pipeline.runtime import ray_cluster  # ray: seconds, and its environment is settled by now

    try:
        yield ray_cluster.connect(workers)
    except Exception:
        ray_cluster.keep_logs()
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what has begun to end is let end in good order
        ray_cluster.disconnect()


def _unwind(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _listen(orders: "Queue[dict]") -> None:
    """Hand on the parent's order; then end this process when the parent's end of the pipe is closed."""
    if line := sys.stdin.readline():
        orders.put(json.loads(line))
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
