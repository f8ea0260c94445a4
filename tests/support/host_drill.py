"""A Ray cluster over several hosts (`hosts`), a fleet on it, and what the store says of its runs meanwhile."""

import json
import os
import subprocess
import sys
import time

import pytest
from support import hosts

from pipeline.records.attempt import AttemptEnd, LeaseRecord
from pipeline.runtime.driver import HOME
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training.attempts import attempts

RAY = f"{os.path.dirname(sys.executable)}/ray"
PORT = 6379
NEWS = "news.json"
MARKS = [
    pytest.mark.hosts,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not hosts.available(), reason="hosts are made by root, on Linux"),
]


class Drill:
    """The cluster, its fleet, and what the store says of the runs."""

    def __init__(self, network, folder, runs):
        self.folder, self.runs = folder, runs
        self.store = open_store(str(folder / "store"))
        self.head = network.host("head")
        self.network = network
        # a busy machine's node takes longer to come than Ray waits
        self.env = {"RAY_raylet_start_wait_time_s": "150", "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
        self.began, self.started = time.monotonic(), []

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def start_head(self):
        words = f"{RAY} start --head --block --port={PORT} --num-cpus=0 --include-dashboard=false"
        log = self.folder / "head.log"
        self.started.append(self.head.start(f"{words} --node-ip-address={self.head.address}", log, self.env))

    def join(self, host):
        words = f"{RAY} start --block --address={self.head.address}:{PORT} --num-cpus=1"
        return host.start(f"{words} --node-ip-address={host.address}", self.folder / f"{host.name}.log", self.env)

    def await_ray(self, host):
        """Its node is up. Two that start at the same moment may hang: the second waits for this one."""
        log = self.folder / f"{host.name}.log"
        self.until(f"Ray runs on {host.name}", 150, lambda: "Ray runtime started" in log.read_text())

    def start_fleet(self, module="-m pipeline.training.fleet"):
        order = {"experiments": [e.plain() for e in self.runs], "store": self.store.url, "workers": None, "news": NEWS}
        env = self.env | {"RAY_ADDRESS": f"{self.head.address}:{PORT}"}
        fleet = self.head.start(
            f"env -C {HOME} PYTHONPATH={HOME} {sys.executable} {module}",
            self.folder / "fleet.log",
            env,
            subprocess.PIPE,
        )
        fleet.stdin.write(json.dumps(order).encode() + b"\n")
        fleet.stdin.flush()
        self.started.append(fleet)
        return fleet

    def at_work(self):
        """Host by run, of the runs whose last attempt is open and has no result."""
        found = {}
        for experiment in self.runs:
            run = RunFolder(experiment.id)
            if not self.store.exists(run.result) and (seen := attempts(self.store, run)).open:
                owner = self.store.find_record(LeaseRecord, run.lease(seen.last))
                if owner is not None:
                    found[experiment.id] = (owner.host.split()[0], seen.last, owner.pid)
        return found

    def until(self, what, seconds, answer):
        """Wait until `answer()` is true; says and returns the seconds that it took."""
        began = time.monotonic()
        while not (value := answer()):
            assert all(p.poll() is None for p in self.started), f"{what}: the head or the fleet has ended"
            assert time.monotonic() - began < seconds, f"{what}: not within {seconds} s; {self.at_work()}"
            time.sleep(0.5)
        self.say(f"{what}: {time.monotonic() - began:.1f} s")
        return value

    def run_on(self, host):
        """The run that this host trains now, and its attempt."""
        return next(((id, attempt) for id, (name, attempt, _) in self.at_work().items() if name == host.name), None)

    def leases_of(self, host):
        """Every attempt of the host's workers, on any run."""
        return {
            (experiment.id, number)
            for experiment in self.runs
            for run in [RunFolder(experiment.id)]
            for number in attempts(self.store, run).numbers
            if self.store.read_record(LeaseRecord, run.lease(number)).host.split()[0] == host.name
        }

    def ends(self, id):
        run = RunFolder(id)
        ended = attempts(self.store, run).ended
        return [self.store.read_record(AttemptEnd, run.attempt_end(number)) for number in ended]
