"""Workers on a Ray cluster that comes and goes: each an actor of its own, on one CPU or GPU.

A machine that is lost takes its own workers along and touches no other; one that joins gets workers within seconds. A
worker for which there is no room waits, and Ray's autoscaler sees it as demand.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UserError
from pipeline.runtime.ended import Ended
from pipeline.runtime.ray_cluster import Placement, keep_logs, leaving, rooms  # before Ray: it sets what Ray reads

# isort: split
import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

LOOK_SECONDS = 1.0  # between looks at the cluster
ANSWER_SECONDS = 45.0  # for the machine of a dead worker to answer: Ray itself takes about half a minute to give one up
END_SECONDS = 5.0  # for workers to end by themselves once all work is done


def reasons(gave_up: list[tuple[str | None, str]]) -> str:
    """Why workers gave up: of every machine what the first of its workers said, each sentence once."""
    first = dict(reversed(gave_up))
    return "; ".join(dict.fromkeys(reversed(first.values())))


class NoWorkerLeft(UserError):
    """Every worker ended before all work was done; the message has their reasons, a sentence each."""


Work = Callable[[int, threading.Event], Ended]  # of (rank, released); once `released` is set it saves, and ends


class Worker:
    """One worker's process. Its methods run in threads of their own."""

    def __init__(self, work: Work, rank: int):
        self._work, self._rank, self._released = work, rank, threading.Event()

    def node(self) -> str:
        return ray.get_runtime_context().get_node_id()

    def work(self) -> Ended:
        return self._work(self._rank, self._released)

    def release(self) -> None:
        self._released.set()


class _Member:
    """An actor that has been ordered; `node` is None while it waits for room."""

    def __init__(self, work: Work, rank: int, placement: Placement):
        self.rank, self.released = rank, False
        self.node: str | None = None
        actor: Any = ray.remote(Worker)
        self._actor = actor.options(
            num_cpus=placement.cpus_per_worker,
            num_gpus=placement.gpus_per_worker,
            max_concurrency=3,
            scheduling_strategy="SPREAD",
        ).remote(work, rank)
        self._node_ref = self._actor.node.remote()
        self.end_ref = self._actor.work.remote()

    def look(self) -> None:
        """Learn which machine it is on, once it has begun."""
        if self.node is None and ray.wait([self._node_ref], timeout=0)[0]:
            with contextlib.suppress(RayError):  # it has died since, as its other reference tells
                self.node = str(ray.get(self._node_ref))

    def release(self) -> None:
        self.released = True
        self._actor.release.remote()

    def kill(self) -> None:
        ray.kill(self._actor)


@dataclass(frozen=True)
class _Suspect:
    """A worker that died; whether its machine died with it is being asked."""

    rank: int
    why: str
    answer: ray.ObjectRef
    until: float  # no answer by then means no


class Team:
    """Keeps as many workers at `work` as there is room for or the autoscaler may make room for, or as were asked for.

    `died(rank, why)` is told of every worker whose process ended while its machine lives: a machine's loss is no
    fault of a run's. `say` is told in a sentence what the team waits for, and "" when it waits for nothing.
    """

    def __init__(
        self,
        work: Work,
        placement: Placement,
        died: Callable[[int, str], None],
        say: Callable[[str], None],
        deaths: int,
    ):
        self._work, self._placement, self._died, self._say = work, placement, died, say
        self._deaths_left = deaths  # of processes; more mean that no worker can live here
        self._members: dict[ray.ObjectRef, _Member] = {}
        self._suspects: list[_Suspect] = []
        self._gave_up: list[tuple[str | None, str]] = []  # machine and reason, of workers that could not go on there
        self._next_rank = 0
        self._said = ""

    def run(self) -> None:
        """Return once a worker says that all is done; NoWorkerLeft when every one has given up."""
        try:
            while not self._look():
                pass
            for member in self._members.values():
                member.release()  # from the pause in which it waits for work that will not come
        finally:
            self._end()

    def _look(self) -> bool:
        """One round: order, listen, release; whether all is done."""
        self._order()
        refs = list(self._members)
        if not refs and not self._suspects:
            raise NoWorkerLeft(reasons(self._gave_up))
        ended, _ = ray.wait(refs, timeout=LOOK_SECONDS) if refs else ([], [])
        if any(self._is_over(self._members.pop(ref), ref) for ref in ended):
            return True
        if not refs:
            time.sleep(LOOK_SECONDS)
        self._settle_suspects()
        self._release_leaving()
        self._tell()
        return False

    def _order(self) -> None:
        """Order workers where there is room for more; withdraw waiting ones for whose room a machine was counted."""
        room = rooms(self._placement)
        wanted = self._placement.asked or max(1, sum(room.values()), self._placement.growth)
        missing = wanted - sum(node in room for node, _ in self._gave_up) - len(self._members)
        for _ in range(missing):
            member = _Member(self._work, self._next_rank, self._placement)
            self._members[member.end_ref] = member
            self._next_rank += 1
        waiting = [ref for ref, member in self._members.items() if member.node is None]
        for ref in waiting[::-1][: max(-missing, 0)]:
            self._members.pop(ref).kill()

    def _is_over(self, member: _Member, ref: ray.ObjectRef) -> bool:
        """Whether all is done, by the end of one worker."""
        try:
            end: Ended = ray.get(ref)
        except (RayActorError, OutOfMemoryError) as error:
            member.look()
            if not member.released and member.node is not None:
                self._suspects.append(_Suspect(member.rank, cause(error), _ask(member.node), _in(ANSWER_SECONDS)))
            return False
        if not end.all_done and not member.released:
            member.look()
            self._gave_up.append((member.node, end.why))
        return end.all_done

    def _settle_suspects(self) -> None:
        for suspect in list(self._suspects):
            if ray.wait([suspect.answer], timeout=0)[0]:
                self._suspects.remove(suspect)
                try:
                    ray.get(suspect.answer)
                except RayError:
                    continue  # the machine is gone
                keep_logs()
                self._died(suspect.rank, suspect.why)
                self._deaths_left -= 1
                if self._deaths_left < 0:
                    raise NoWorkerLeft(f"worker after worker ends its process: {suspect.why}")
            elif time.monotonic() > suspect.until:
                self._suspects.remove(suspect)

    def _release_leaving(self) -> None:
        """Let workers on machines that are announced to go save their runs and end."""
        gone = leaving()
        for member in self._members.values():
            member.look()
            if member.node in gone and not member.released:
                member.release()

    def _tell(self) -> None:
        waiting = sum(member.node is None for member in self._members.values())
        what = "GPU" if self._placement.gpus_per_worker else "CPU"
        text = (
            f"{waiting} of {len(self._members)} workers wait for a free {what}: add machines to the Ray cluster, or "
            "wait for its autoscaler"
        )
        text = text if waiting else ""
        if text != self._said:
            self._say(text)
            self._said = text

    def _end(self) -> None:
        """All is done, or lost: what still runs may end by itself for a moment."""
        at_work = [ref for ref, member in self._members.items() if member.node is not None]
        if at_work:
            ray.wait(at_work, num_returns=len(at_work), timeout=END_SECONDS)
        for member in self._members.values():
            member.kill()
        self._say("")


def cause(error: Exception) -> str:
    """What ended a worker's process, in a sentence or two of Ray's page."""
    page = " ".join(str(error).split())
    _, _, detail = page.partition("Worker exit detail: ")
    _, _, reason = page.partition("The actor is dead because ")
    return (detail or reason or page)[:300]


def _ask(node: str) -> ray.ObjectRef:
    """An answer that comes if the machine lives."""
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    task: Any = ray.remote(_here)
    return task.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote()


def _here() -> bool:
    return True


def _in(seconds: float) -> float:
    return time.monotonic() + seconds
