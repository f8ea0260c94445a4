"""How much of this machine is ours: CPUs and memory under affinity and cgroups, which may be far less than it has."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
NO_MEMORY = (
    "map segment",
    "Cannot allocate memory",
    "can't allocate memory",
    "Unable to allocate",
)  # said by libraries
MORE_MEMORY = "free some, or allow more to this user (ulimit -v)"


def cores() -> int:
    """The CPUs this process can keep busy: those it may run on, and no more than its cgroups' quota; at least 1."""
    quota = cpu_quota()
    return max(1, min(_allowed(), int(quota)) if math.isfinite(quota) else _allowed())


def limit_threads() -> None:
    """Keep the thread pools of numpy and torch within a CPU quota, which they know nothing of; before their import."""
    if cores() < _allowed():
        os.environ.setdefault("OMP_NUM_THREADS", str(cores()))


def cpu_quota(proc: Path = PROC) -> float:
    """CPU seconds that the cgroups give each second, of either version of cgroups; infinite without a quota."""
    return min((_quota(folder) for folder in _cgroups("cpu", proc)), default=math.inf)


def free_memory(proc: Path = PROC) -> int:
    """Bytes that can still be allocated: of the machine, and of every cgroup above this process."""
    import psutil

    return int(min([psutil.virtual_memory().available, *(_unused(folder) for folder in _cgroups("memory", proc))]))


def address_space() -> float:
    """Bytes that a process may map (ulimit -v); infinite without a limit."""
    return _limits("RLIMIT_AS")[0]


def open_files() -> float:
    """Files that a process may have open at once, once it has raised its own limit (ulimit -Hn)."""
    return _limits("RLIMIT_NOFILE")[1]


def lacks_memory(error: BaseException) -> bool:
    """Whether it says that this machine has no memory left for us."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)


def _limits(name: str) -> list[float]:
    """The limit that holds, and that up to which the process may raise it."""
    import resource

    limits = resource.getrlimit(getattr(resource, name))
    return [math.inf if limit == resource.RLIM_INFINITY else limit for limit in limits]


def _allowed() -> int:
    if hasattr(os, "sched_getaffinity"):  # taskset, cpusets
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroups(controller: str, proc: Path) -> Iterator[Path]:
    """The folders of a controller, from this process's own cgroup up to the topmost that can be seen from here."""
    try:
        own = (proc / "self/cgroup").read_text("utf-8", "replace").splitlines()
        mounts = (proc / "self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:  # no Linux
        return
    paths = {name: path for line in own for _, names, path in [line.split(":", 2)] for name in names.split(",")}
    for mount in mounts:
        place, _, filesystem = mount.partition(" - ")
        root, top = place.split()[3:5]
        kind, *_, options = filesystem.split()
        if kind == "cgroup2" or (kind == "cgroup" and controller in options.split(",")):
            yield from _upward(Path(top), root, paths.get("" if kind == "cgroup2" else controller, "/"))


def _upward(top: Path, root: str, path: str) -> Iterator[Path]:
    below = PurePosixPath(path)
    if below.is_relative_to(root) and ".." not in below.parts:
        folder = top / below.relative_to(root)
        while folder != top:
            yield folder
            folder = folder.parent
    yield top  # in a container the own cgroup is mounted here, whatever the host calls it


def _quota(folder: Path) -> float:
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if math.isfinite(quota) and quota > 0 else math.inf


def _unused(folder: Path) -> float:
    limit = min(_number(folder / "memory.max"), _number(folder / "memory.limit_in_bytes"))
    used = min(_number(folder / "memory.current"), _number(folder / "memory.usage_in_bytes"))
    return math.inf if math.isinf(used) else limit - used + _cached(folder)


def _cached(folder: Path) -> int:
    """Bytes of files in memory that the kernel drops when it needs the room; they count as used."""
    try:
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return 0
    return int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))


def _number(file: Path) -> float:
    try:
        return int(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # "max", or another version of cgroups
        return math.inf
