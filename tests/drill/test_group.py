"""Hosts that train one run together: one is lost, another comes.

uv run pytest -m hosts -s tests/drill/test_group.py      five minutes, as root on Linux; prints every answer's time
"""

from dataclasses import replace

from support import hosts
from support.host_drill import MARKS, Drill

from pipeline.data import prepare
from pipeline.plan.studies import study
from pipeline.plan.usual import with_epochs
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training.attempts import FAILURE_KINDS, attempts

pytestmark = MARKS
EPOCHS = 300  # minutes: Ray Train looks once a minute whether a group can grow
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
    run = replace(one, recipe=with_epochs(one.recipe, EPOCHS))
    store = open_store(str(tmp_path / "store"))
    prepare.make(store, one.dataset, one.recipe.preprocess)
    (tmp_path / "group.py").write_text(GROUP)
    with hosts.network() as network:
        drill = Drill(network, tmp_path, [run])
        a, b, c = (network.host(name) for name in "abc")
        drill.start_head()
        drill.await_ray(drill.head)
        for host in (a, b):
            drill.join(host)
            drill.await_ray(host)
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
    assert (result["outcome"], result["epochs"]) == ("done", EPOCHS)
    assert devices(store, run, 2)
    assert all(end.how not in FAILURE_KINDS for end in drill.ends(run.id)), "a machine's loss is not the run's"


def devices(store, run, count):
    """Whether the last attempt was begun by so many workers together."""
    last = attempts(store, RunFolder(run.id)).last
    found = store.find_json(RunFolder(run.id).provenance(last)) if last else None
    return found is not None and found["devices"] == count
