"""A fleet over several hosts, which come, are announced to go, lose their link, and are lost.

uv run pytest -m hosts -s      ten minutes, as root on Linux; prints how long each answer took
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from support import hosts

from pipeline.data import prepare
from pipeline.plan.studies import study
from pipeline.plan.usual import with_epochs
from pipeline.records.attempt import AttemptEnd, LeaseRecord
from pipeline.runtime.driver import HOME
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training.attempts import FAILURE_KINDS, attempts
from pipeline.training.owners import LeaseObserver

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not hosts.available(), reason="hosts are made by root, on Linux"),
]
RAY = f"{os.path.dirname(sys.executable)}/ray"
PORT = 6379
NEWS = "news.json"


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


def test_a_fleet_outlives_its_hosts(tmp_path):
    one = study("smoke").experiments[0]
    runs = [replace(one, recipe=with_epochs(one.recipe, 60), seed=seed) for seed in range(16)]
    store = open_store(str(tmp_path / "store"))
    prepare.make(store, one.dataset, one.recipe.preprocess)
    with hosts.network() as network:
        drill = Drill(network, tmp_path, runs)
        a, b, c = (network.host(name) for name in "abc")
        drill.start_head()
        time.sleep(10)
        fleet = drill.start_fleet()
        drill.until("a cluster without CPUs is waited for, in a sentence", 120, lambda: store.find_json(NEWS))
        assert "wait for a free CPU" in store.read_json(NEWS)["text"]

        drill.join(a)
        on_a = drill.until("the first host trains", 90, lambda: drill.run_on(a))
        drill.join(b)
        on_b = drill.until("a host that joins trains", 90, lambda: drill.run_on(b))

        b.pull_plug()
        drill.until(
            "the run of a lost host goes on elsewhere, or waits for a free worker",
            90,
            lambda: not _alive(store, on_b) or drill.at_work().get(on_b[0], ("", 0))[1] > on_b[1],
        )
        assert fleet.poll() is None
        assert all(end.how not in FAILURE_KINDS for end in drill.ends(on_b[0]))

        ray_on_c = drill.join(c)
        on_c = drill.until("a third host trains", 90, lambda: drill.run_on(c))
        told(c, f"kill -9 {drill.at_work()[on_c[0]][2]}", tmp_path)
        drill.until("a worker's own end is its run's", 60, lambda: [e.how for e in drill.ends(on_c[0])] == ["died"])
        assert "connection error" in drill.ends(on_c[0])[0].why, "the cause as Ray knows it"

        drill.until("the third host trains again", 60, lambda: drill.run_on(c))
        c.cable(up=False)
        time.sleep(90)
        c.cable(up=True)
        drill.say("the link of the third host was down for 90 s")
        drill.until("its Ray ends, given up by the head", 60, lambda: ray_on_c.poll() is not None)
        before = drill.leases_of(c)
        drill.join(c)  # as what supervises it does
        drill.until("it is used again", 60, lambda: drill.leases_of(c) - before)

        drill.until("the first host trains still", 60, lambda: drill.run_on(a))
        drain(drill, a)
        drill.until("a host announced to go has saved and released its run", 60, lambda: released(drill, a))

        drill.join(b)
        assert fleet.wait(900) == 0, (tmp_path / "fleet.log").read_text()[-2000:]
    results = {e.id: store.read_json(RunFolder(e.id).result) for e in runs}
    assert {r["outcome"] for r in results.values()} == {"done"}
    assert results[on_a[0]]["attempt"] <= 2  # untouched by the others' losses; released once at most
    failures = [end for e in runs for end in drill.ends(e.id) if end.how in FAILURE_KINDS]
    assert [end.how for end in failures] == ["died"]  # the one that was its own


GROUP = """
from pipeline.runtime.driver import serve_parent
from pipeline.training import ray_fleet
if __name__ == "__main__":
    ray_fleet.LARGE = 0  # every run is large enough for a group
    from pipeline.training.fleet import _train
    serve_parent(_train)
"""


def test_a_group_that_lost_a_host_goes_on_with_the_rest_and_grows_again(tmp_path):
    one = study("smoke").experiments[0]
    run = replace(one, recipe=with_epochs(one.recipe, 150))
    store = open_store(str(tmp_path / "store"))
    prepare.make(store, one.dataset, one.recipe.preprocess)
    (tmp_path / "group.py").write_text(GROUP)
    with hosts.network() as network:
        drill = Drill(network, tmp_path, [run])
        a, b, c = (network.host(name) for name in "abc")
        drill.start_head()
        time.sleep(10)
        drill.join(a)
        drill.join(b)
        time.sleep(20)
        fleet = drill.start_fleet(str(tmp_path / "group.py"))
        drill.until("two hosts train one run", 180, lambda: devices(store, run, 2))
        first = attempts(store, RunFolder(run.id)).last
        drill.until("it has a checkpoint", 120, lambda: store.names(f"{RunFolder(run.id).attempt(first)}/checkpoint"))
        second = b if drill.run_on(a) else a  # the first worker, which writes, is on the other
        second.pull_plug()
        drill.until("the other goes on by itself", 180, lambda: devices(store, run, 1))
        drill.join(c)
        drill.until("a host that joins is used", 240, lambda: attempts(store, RunFolder(run.id)).last > first + 1)
        assert fleet.wait(900) == 0, (tmp_path / "fleet.log").read_text()[-2000:]
    result = store.read_json(RunFolder(run.id).result)
    assert (result["outcome"], result["epochs"]) == ("done", 150)
    assert devices(store, run, 2)
    assert all(end.how not in FAILURE_KINDS for end in drill.ends(run.id)), "a machine's loss is not the run's"


def devices(store, run, count):
    """Whether the last attempt was begun by so many workers together."""
    last = attempts(store, RunFolder(run.id)).last
    found = store.find_json(RunFolder(run.id).provenance(last)) if last else None
    return found is not None and found["devices"] == count


OBSERVERS: dict[str, LeaseObserver] = {}


def _alive(store, run):
    observer = OBSERVERS.setdefault(store.url, LeaseObserver(store))
    return observer.alive(RunFolder(run[0]), run[1])


def released(drill, host):
    """Whether the last of the attempts on a host was released."""
    ends = [
        drill.store.find_record(AttemptEnd, RunFolder(id).attempt_end(number)) for id, number in drill.leases_of(host)
    ]
    return any(end is not None and end.how == "released" for end in ends)


def drain(drill, host):
    """As a cloud announces it: the machine goes within a minute."""
    asked = (
        f"import ray; ray.init(address='{drill.head.address}:{PORT}', log_to_driver=False); "
        f"print([n['NodeID'] for n in ray.nodes() if n['Alive'] and n['NodeManagerAddress'] == '{host.address}'][0])"
    )
    node = told(drill.head, f'env RAY_AUTH_MODE=disabled {sys.executable} -c "{asked}"', drill.folder).split()[-1]
    words = f"{RAY} drain-node --address={drill.head.address}:{PORT} --node-id={node}"
    words += " --reason=DRAIN_NODE_REASON_PREEMPTION --reason-message=spot --deadline-remaining-seconds=60"
    told(drill.head, f"env RAY_AUTH_MODE=disabled {words}", drill.folder)


def told(host, command, folder):
    """What a command on a host says."""
    log = folder / "told.log"
    log.unlink(missing_ok=True)
    assert host.start(command, log).wait(60) == 0, log.read_text()
    return log.read_text()
