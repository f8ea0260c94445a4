"""Which flow runs have lost their runner: by processes of this host, and by a clock of the tests."""

import asyncio
import subprocess
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from flows.dead_runners import RunnerObserver, Sign, final_state
from pipeline.runtime.process_identity import boot_id, host_name, process_started


def sign(host: str = "elsewhere", pid: int = 1, started: str = "1", beat: int = 1) -> Sign:
    return Sign(host, boot_id(), pid, started, beat)


def flow_run(sign: Sign | None, type: StateType = StateType.RUNNING, id=None) -> FlowRun:
    labels = {} if sign is None else sign.labels()
    return FlowRun(id=id or uuid4(), flow_id=uuid4(), labels={"prefect.flow.id": "x", **labels}, state=State(type=type))


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def observer(clock):
    return RunnerObserver(clock=lambda: clock.now)


@pytest.fixture
def look(observer, clock):
    """What the observer takes for orphans at looks that are some seconds apart."""

    def looks(*runs, times=1, apart=15.0):
        found = []
        for _ in range(times):
            clock.now += apart
            found = observer.orphans(runs)
        return found

    return looks


@pytest.fixture
def killed():
    """The identity of a process of this host that was killed."""
    with subprocess.Popen(["sleep", "600"]) as process:
        one = sign(host_name(), process.pid, process_started(process.pid) or "")
        assert not one.has_exited()
        process.kill()
    return one


def test_a_runner_elsewhere_is_gone_after_five_looks_without_news(look):
    run = flow_run(sign())
    assert look(run, times=5) == []
    assert look(run) == [run]


def test_a_sign_of_life_begins_the_count_anew(look):
    id = uuid4()
    for beat in range(4):
        assert look(flow_run(sign(beat=beat), id=id), times=5) == []


def test_a_process_of_this_host_that_was_killed_is_gone_sooner(look, killed):
    run = flow_run(killed)
    assert look(run, times=3) == []  # a run that is started again has the old labels for a moment
    assert look(run) == [run]


def test_own_runs_those_of_work_pools_and_those_without_a_runner_are_left_alone(look):
    of_pool = flow_run(sign()).model_copy(update={"work_pool_name": "strive"})
    assert look(flow_run(Sign.of_this_process()), flow_run(None), of_pool, times=100) == []


def test_a_look_that_came_late_counts_for_nothing(look):
    """The server was away in between: Prefect's client tries for a minute again, and then succeeds."""
    run = flow_run(sign())
    assert look(run, times=100, apart=66) == []
    assert look(run, times=5) == [run]


class Server:
    """Has these runs; some of them it cannot end, and some of its answers never come."""

    def __init__(self, *runs, cannot_end=(), silent_for=()):
        self.runs = {run.id: run for run in runs}
        self.cannot_end, self.silent_for = set(cannot_end), set(silent_for)
        self.ended, self.labels = {}, {}

    async def read_flow_runs(self, flow_run_filter, sort, offset):
        return [] if offset or flow_run_filter.parent_flow_run_id else list(self.runs.values())

    async def read_flow_run(self, id):
        return self.runs[id]

    async def read_task_runs(self, **_):
        return []

    async def set_flow_run_state(self, id, state, force):
        if id in self.cannot_end:
            raise ConnectionError
        self.ended[id] = state.type

    async def update_flow_run_labels(self, id, labels):
        if id in self.silent_for:
            await asyncio.sleep(600)
        self.labels[id] = labels


def looked(observer, clock, server, times, own=()):
    for _ in range(times):
        clock.now += 15
        asyncio.run(observer.end_orphans(server, own))


def test_one_that_cannot_be_ended_hinders_no_other(observer, clock):
    first, second = flow_run(sign()), flow_run(sign())
    server = Server(first, second, cannot_end=[first.id])
    looked(observer, clock, server, 6)
    assert server.ended == {second.id: StateType.CRASHED}


def test_a_runner_never_ends_its_own_run_whatever_its_labels_say(observer, clock, killed):
    run = flow_run(killed)
    server = Server(run)
    looked(observer, clock, server, 20, own=[run.id])
    assert server.ended == {}


def test_a_run_that_was_taken_meanwhile_is_left_alone(observer, clock, killed):
    run = flow_run(killed)
    server = Server(run)
    looked(observer, clock, server, 3)
    taken = flow_run(sign(), id=run.id)
    server.read_flow_run = lambda _: answered(taken)
    looked(observer, clock, server, 1)
    assert server.ended == {}


async def answered(what):
    return what


def test_two_runners_that_live_leave_each_other_alone(clock):
    runs = [flow_run(sign(host)) for host in "ab"]
    server = Server(*runs)
    both = [(RunnerObserver(sign(host), lambda: clock.now), run) for host, run in zip("ab", runs, strict=True)]
    for _ in range(50):
        for observer, run in both:
            asyncio.run(observer.beat(server, [run.id]))
            server.runs[run.id] = run.model_copy(update={"labels": server.labels[run.id]})
        for observer, run in both:
            asyncio.run(observer.end_orphans(server, [run.id]))
        clock.now += 15
    assert server.ended == {}
    assert Sign.of_run(server.runs[runs[0].id]).beat == 51


def test_a_sign_that_cannot_be_written_delays_no_other(observer, monkeypatch):
    monkeypatch.setattr("flows.dead_runners.PATIENCE_SECONDS", 0.05)
    one, other = uuid4(), uuid4()
    server = Server(silent_for=[one])
    asyncio.run(observer.beat(server, [one, other]))
    assert set(server.labels) == {other}


def test_what_was_to_be_cancelled_is_cancelled_and_the_rest_crashed():
    assert final_state(flow_run(sign(), StateType.CANCELLING)).type == StateType.CANCELLED
    for type in (StateType.RUNNING, StateType.PENDING):
        state = final_state(flow_run(sign(), type))
        assert state.type == StateType.CRASHED
        assert "Run it again" in state.message
