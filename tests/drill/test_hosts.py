"""A fleet over several hosts, which come, are announced to go, lose their link, and are lost.

uv run pytest -m hosts -s tests/drill/test_hosts.py      ten minutes, as root on Linux; prints every answer's time
"""

import sys
import time
from dataclasses import replace

from support import hosts
from support.host_drill import MARKS, NEWS, PORT, RAY, Drill

from pipeline.data import prepare
from pipeline.plan.studies import study
from pipeline.plan.usual import with_epochs
from pipeline.records.attempt import AttemptEnd
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training.attempts import FAILURE_KINDS
from pipeline.training.owners import LeaseObserver

pytestmark = MARKS


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
