"""The flow `train` with a fleet of our own making: every run gets the state that the store gives it."""

import threading
import time
from types import SimpleNamespace

import pytest
from support.finished import done

from pipeline.plan.studies import study
from pipeline.store.objects import open_store
from pipeline.training.attempts import record_crash
from pipeline.training.leases import acquire
from pipeline.training.owners import LeaseObserver, this_process

ONE, TWO = study("smoke").experiments


@pytest.fixture
def fleet(monkeypatch):
    """Stands in for Ray: calls what a test sets as `work` with the experiments and the store."""
    fake = SimpleNamespace(work=None, stopped=0)

    class Fleet:
        def __init__(self, experiments, store_url, _workers, _news):
            self.order = experiments, open_store(store_url)

        def wait(self):
            fake.work(*self.order)

        def stop(self):
            fake.stopped += 1

    monkeypatch.setattr("flows.train.Fleet", Fleet)
    return fake


@pytest.fixture
def of_smoke(tmp_path):
    """The parameters of a flow about the study smoke."""
    return {"study": "smoke", "store": str(tmp_path)}


@pytest.mark.prefect
def test_a_flow_run_on_the_embedded_server_waits_for_no_thread_of_heartbeats(harness):
    from prefect import flow

    @flow
    def threads():
        return {thread for thread in threading.enumerate() if thread.daemon}

    before = {thread for thread in threading.enumerate() if thread.daemon}
    inside = threads()
    assert not [thread for thread in inside - before if getattr(thread._target, "__name__", "") == "run"]


@pytest.mark.prefect
def test_every_run_is_a_task_run_with_the_state_of_its_outcome(harness, fleet, of_smoke):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter

    from flows.train import train

    def work(experiments, store):
        assert [e.id for e in experiments] == [TWO.id, ONE.id]  # the longest first
        done(store, ONE)
        record_crash(store, TWO, 3, ["no memory"])

    fleet.work = work
    state = train(**of_smoke, return_state=True)
    assert state.is_completed()
    assert state.result() == {ONE.id: "done", TWO.id: "crashed"}
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [state.state_details.flow_run_id]}))
    states = {run.name: (run.state.name, run.state.message) for run in runs}
    assert set(states) == {"fleet of smoke", ONE.label, TWO.label}
    assert states[ONE.label] == ("Completed", f"{ONE.id}: 3 wrong of 355, 0.85 %")
    assert states[TWO.label][0] == "Crashed"
    assert "no memory" in states[TWO.label][1]
    assert fleet.stopped == 0


@pytest.mark.prefect
def test_a_diverged_run_is_called_so_and_nothing_is_tried_again(harness, fleet, of_smoke):
    from flows.train import train

    calls = []

    def work(experiments, store):
        calls.append(experiments)
        done(store, ONE)
        done(store, TWO, outcome="diverged")

    fleet.work = work
    assert train(**of_smoke) == {ONE.id: "done", TWO.id: "diverged"}
    assert train(**of_smoke) == {ONE.id: "done", TWO.id: "diverged"}
    assert len(calls) == 1


@pytest.mark.prefect
def test_a_fleet_that_fails_fails_the_flow_and_lets_go_of_its_runs(harness, fleet, of_smoke):
    from flows.train import train

    def work(_experiments, _store):
        raise ConnectionError("no such cluster")

    fleet.work = work
    with pytest.raises(ConnectionError, match="no such cluster"):
        train(**of_smoke)
    assert fleet.stopped == 0


@pytest.mark.prefect
def test_an_interrupted_flow_stops_its_fleet(harness, fleet, of_smoke, monkeypatch):
    import flows.train

    begun = threading.Event()
    fleet.work = lambda *_: begun.set()

    def interrupted(*_, **__):
        begun.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(flows.train, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        flows.train.train(**of_smoke)
    assert fleet.stopped == 1


@pytest.mark.prefect
def test_a_run_that_is_trained_again_otherwise_has_drifted(harness, fleet, of_smoke):
    from flows.automations import NEWS
    from flows.replicate import replicate
    from flows.reproduce import final_state

    kept = open_store(of_smoke["store"])
    summary = {"summary": {"network": "all-cnn-c", "torch": "1"}}
    for experiment in (ONE, TWO):
        done(kept, experiment, digests={"model": "a", "history": "b", "dataset": "c"}, **summary)
    before = {name: kept.read(name) for name in kept.names("")}

    def work(experiments, store):
        for experiment in experiments:
            wrong = 3 if experiment == ONE else 300
            model = {"model": "a" if experiment == ONE else "x", "history": "b", "dataset": "c"}
            done(store, experiment, wrong=wrong, digests=model, **summary)

    fleet.work = work
    found = replicate(**of_smoke, replicate=5)
    assert found == {ONE.id: "same bits", TWO.id: "drifted"}
    assert {name: kept.read(name) for name in before} == before
    state = final_state(kept, study("smoke"), found)
    assert state.is_failed()
    assert state.name == "Drifted"
    assert state.name in NEWS
    assert TWO.id in state.message
    assert final_state(kept, study("smoke"), {ONE.id: "same bits"}) is None


@pytest.mark.prefect
def test_a_crashed_run_fails_the_flow_once_all_is_published(harness, of_smoke):
    from flows.reproduce import final_state

    kept = open_store(of_smoke["store"])
    done(kept, ONE)
    record_crash(kept, TWO, 3, ["no memory"])
    state = final_state(kept, study("smoke"), {})
    assert state.is_failed()
    assert TWO.id in state.message
    done(kept, TWO, outcome="diverged")  # an outcome of the experiment, not a failure of the flow
    assert final_state(kept, study("smoke"), {}) is None


@pytest.mark.prefect
def test_tasks_wait_for_their_runs_and_their_logs_tell_how_these_go(harness, fleet, of_smoke, monkeypatch):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, LogFilter, LogFilterTaskRunId
    from prefect.context import TaskRunContext

    from flows import watch
    from flows.train import train

    monkeypatch.setattr(watch, "LOG_SECONDS", 0.3)
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.2)
    seen = {}

    def states(flow_run):
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [flow_run]}))
        return {run.name: run for run in runs}

    def work(_experiments, store):
        [held], _ = acquire(store, [ONE], 1, this_process(), LeaseObserver(store))
        with held:
            held.progress(1, 2.0)
            until = time.monotonic() + 30
            while time.monotonic() < until:
                flow_run = TaskRunContext.get().task_run.flow_run_id
                seen.update({name: run.state.name for name, run in states(flow_run).items() if run.state})
                if seen.get(ONE.label) == "Running" and seen.get(TWO.label) == "Pending":
                    time.sleep(1.5)
                    break
                time.sleep(0.3)
            done(store, ONE)
            done(store, TWO)
            held.finished = True

    fleet.work = work
    state = train(**of_smoke, return_state=True)
    assert state.is_completed()
    assert (seen[ONE.label], seen[TWO.label]) == ("Running", "Pending")
    one = states(state.state_details.flow_run_id)[ONE.label]
    with get_client(sync_client=True) as client:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            found = client.read_logs(LogFilter(task_run_id=LogFilterTaskRunId(any_=[one.id])))
            if any("epoch 1 of 2" in log.message for log in found):
                break
            time.sleep(0.5)
    assert any("attempt 1: epoch 1 of 2, 2 s an epoch" in log.message for log in found), [f.message for f in found]


def test_many_runs_are_shown_by_network_and_learning_rate():
    from flows.watch import SINGLE_RUNS, groups

    runs = study("table-3", 5).experiments
    assert len(runs) > SINGLE_RUNS
    found = groups(runs)
    assert len(found) == 12 * 4
    assert found["All-CNN-C, cifar10, learning rate 0.05: 5 runs"] == [
        e.id for e in runs if e.network.name == "all-cnn-c" and e.recipe.lr == 0.05
    ]
