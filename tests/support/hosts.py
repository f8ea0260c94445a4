"""Hosts of their own on this machine: network namespaces with their own name, processes, /tmp and shared memory.

As root on Linux only. Killing a host's first process is pulling its plug; taking its link down is pulling its cable.
"""

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil


def available() -> bool:
    """Whether this process may make hosts."""
    return os.geteuid() == 0 and all(map(shutil.which, ("ip", "unshare", "nsenter", "mount")))


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass
class Host:
    """One host; what `start` begins there ends with it."""

    network: "Network"
    name: str
    number: int
    _first: subprocess.Popen | None = None  # of its processes; the others end with it
    _others: list[subprocess.Popen] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"10.77.0.{self.number}"

    def start(self, command: str, log: Path, env: dict[str, str] | None = None, stdin: int | None = None):
        """Begin a shell command on the host."""
        if self._first is None:
            self._boot()
        assert self._first is not None
        [first] = psutil.Process(self._first.pid).children()
        words = ["nsenter", "--target", str(first.pid), "--uts", "--pid", "--mount", "--net", "sh", "-c", command]
        with log.open("ab") as said:
            given = {**os.environ, "RAY_TMPDIR": self.folder, **(env or {})}
            process = subprocess.Popen(words, stdout=said, stderr=said, env=given, stdin=stdin, start_new_session=True)
        self._others.append(process)
        return process

    def _boot(self) -> None:
        Path(self.folder).mkdir(exist_ok=True)
        inside = f"hostname {self.name}; mount -t tmpfs tmpfs /dev/shm; touch {self.folder}/up; exec sleep infinity"
        words = ["ip", "netns", "exec", self.space, "unshare", "--uts", "--pid", "--mount", "--fork", "--kill-child"]
        self._first = subprocess.Popen([*words, "--mount-proc", "sh", "-c", inside], start_new_session=True)
        until = time.monotonic() + 10
        while not Path(self.folder, "up").exists():
            assert time.monotonic() < until, f"{self.name} did not start"
            time.sleep(0.05)

    @property
    def folder(self) -> str:
        """Short: sockets lie below it."""
        return f"/tmp/{self.space}"

    @property
    def space(self) -> str:
        return f"{self.network.prefix}{self.name}"

    def pull_plug(self) -> None:
        """End all its processes at once; the next `start` boots it again."""
        if self._first is not None:
            os.killpg(self._first.pid, signal.SIGKILL)
            self._first.wait(30)
        for process in self._others:
            process.wait(30)
            if process.stdin:
                process.stdin.close()
        self._first, self._others = None, []
        shutil.rmtree(self.folder, ignore_errors=True)

    def cable(self, up: bool) -> None:
        _ip("-n", self.network.space, "link", "set", self.space, "up" if up else "down")


class Network:
    """A bridge in a namespace of its own, and the hosts on it."""

    def __init__(self):
        self.prefix = f"s{uuid4().hex[:4]}"
        self.space = f"{self.prefix}net"
        self.hosts: list[Host] = []
        _ip("netns", "add", self.space)
        _ip("-n", self.space, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self.space, "link", "set", "bridge", "up")

    def host(self, name: str) -> Host:
        host = Host(self, name, 10 + len(self.hosts))
        _ip("netns", "add", host.space)
        self.hosts.append(host)
        _ip("-n", self.space, "link", "add", host.space, "type", "veth", "peer", "eth0", "netns", host.space)
        _ip("-n", self.space, "link", "set", host.space, "master", "bridge", "up")
        _ip("-n", host.space, "address", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", host.space, "link", "set", "eth0", "up")
        _ip("-n", host.space, "link", "set", "lo", "up")
        return host

    def close(self) -> None:
        for host in self.hosts:
            host.pull_plug()
            _ip("netns", "delete", host.space)
        _ip("netns", "delete", self.space)


@contextmanager
def network():
    """A network of hosts, gone at the end with all that runs on them."""
    made = Network()
    try:
        yield made
    finally:
        made.close()
