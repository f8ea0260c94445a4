"""How a worker of a fleet ended by itself: told to its driver, whatever carries it there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """How a worker ended by itself."""

    all_done: bool  # nothing is left to do, for any worker
    why: str = ""  # if not: what keeps this worker, on its machine, from going on
