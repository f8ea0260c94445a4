"""A virtual clock for threads: code that waits for hours runs in seconds, always in the same order.

One thread runs at a time. When it waits, the clock jumps to the time at which the next thread wakes, and that one runs.
"""

import heapq
import threading
from collections.abc import Callable
from itertools import count


class _Over(BaseException):
    """Ends a thread that still waits when the simulation is over."""


class _Task:
    def __init__(self, call: Callable[[], object], daemon: bool):
        self.call, self.daemon, self.turn, self.ticket, self.joined = call, daemon, threading.Lock(), 0, VirtualEvent()
        self.turn.acquire()


class VirtualTime:
    """A virtual clock with the interfaces of the modules `time` and `threading`, to replace them in simulated code."""

    def __init__(self):
        self.now = 0.0  # seconds since the beginning of the simulation
        self._order, self._heap = count(), []
        self._here = threading.local()
        self._left, self._over, self._error = 0, threading.Event(), None
        self._tasks: set[_Task] = set()

    def monotonic(self) -> float:
        return self.now

    perf_counter = time = monotonic

    def sleep(self, seconds: float) -> None:
        """Let other threads run until the clock has advanced by `seconds`."""
        me = self._here.task
        self._wake(me, seconds)
        self._hand_over(me)

    def spawn(self, call: Callable[[], object], daemon: bool = False) -> _Task:
        """Start `call` in a new thread. `run` does not wait for daemons."""
        task = _Task(call, daemon)
        task.joined.bind(self)
        self._tasks.add(task)
        self._left += not daemon
        threading.Thread(target=self._live, args=(task,), daemon=True).start()
        self._wake(task, 0.0)
        return task

    def run(self) -> None:
        """Run until every thread that is not a daemon has ended; raises the exception of the first that failed."""
        if self._left:
            self._pop()
            self._over.wait()
        for task in self._tasks:
            if task.turn.locked():
                task.turn.release()
        if self._error:
            raise self._error

    def Event(self) -> "VirtualEvent":
        """As threading.Event."""
        return VirtualEvent(self)

    def Thread(
        self, target: Callable[[], object], name: str = "", daemon: bool = True, args: tuple = ()
    ) -> "VirtualThread":
        """As threading.Thread."""
        return VirtualThread(self, lambda: target(*args), daemon)

    def Lock(self):
        """As threading.Lock. Code must not wait on the virtual clock while it holds one."""
        return threading.Lock()

    def park(self, seconds: float | None) -> None:
        """Wait until `_wake` is called for this thread, for at most `seconds`; None: without a limit."""
        me = self._here.task
        me.ticket += 1
        if seconds is not None:
            self._wake(me, seconds)
        self._hand_over(me)

    def here(self) -> _Task:
        """The task of the current thread."""
        return self._here.task

    def _wake(self, task: _Task, seconds: float) -> None:
        task.ticket += 1
        heapq.heappush(self._heap, (self.now + max(0.0, seconds), next(self._order), task.ticket, task))

    def _hand_over(self, me: _Task) -> None:
        if self._over.is_set():
            raise _Over
        if self._pop() is not me:
            me.turn.acquire()
        if self._over.is_set():
            raise _Over

    def _pop(self) -> _Task | None:
        """Advance the clock to the next task and let it run, unless it is the caller's own; None if no task is left."""
        while self._heap:
            at, _, ticket, task = heapq.heappop(self._heap)
            if ticket == task.ticket:
                self.now = at
                if task is not getattr(self._here, "task", None):
                    task.turn.release()
                return task
        self._over.set()  # all remaining tasks would wait forever
        return None

    def _live(self, task: _Task) -> None:
        self._here.task = task
        task.turn.acquire()
        try:
            if not self._over.is_set():
                task.call()
        except _Over:
            return
        except BaseException as error:  # whatever it is, `run` raises it
            self._error = self._error or error
            self._over.set()
        self._tasks.discard(task)
        self._left -= not task.daemon
        task.joined.set()
        if not self._left:
            self._over.set()
        if not self._over.is_set():
            self._here.task = None
            self._pop()


class VirtualEvent:
    """As threading.Event, but waits on a virtual clock, which `bind` sets if the constructor did not."""

    def __init__(self, time: VirtualTime | None = None):
        self._time, self._set, self._waiting = time, False, []

    def bind(self, time: VirtualTime) -> None:
        self._time = time

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        for task in self._waiting:
            self._clock._wake(task, 0.0)
        self._waiting.clear()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            me = self._clock.here()
            self._waiting.append(me)
            self._clock.park(timeout)
            if me in self._waiting:
                self._waiting.remove(me)
        return self._set

    @property
    def _clock(self) -> VirtualTime:
        assert self._time is not None
        return self._time


class VirtualThread:
    """As threading.Thread, but runs on a virtual clock."""

    def __init__(self, time: VirtualTime, call: Callable[[], object], daemon: bool):
        self._time, self._call, self._daemon = time, call, daemon
        self._task: _Task | None = None

    def start(self) -> None:
        self._task = self._time.spawn(self._call, self._daemon)

    def join(self, timeout: float | None = None) -> None:
        assert self._task is not None
        self._task.joined.wait(timeout)
