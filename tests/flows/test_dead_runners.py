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
    return RunnerObserver(lambda: clock.now)


@pytest.fixture
def killed():
    """The identity of a process of this host that was killed."""
    with subprocess.Popen(["sleep", "600"]) as process:
        one = sign(host_name(), process.pid, process_started(process.pid) or "")
        assert not one.has_exited()
        process.kill()
    return one


def test_a_runner_elsewhere_is_gone_after_a_minute_of_silence(observer, clock):
    run = flow_run(sign())
    for now, expected in ((0, []), (59, []), (60, [run])):
        clock.now = now
        assert observer.orphans([run]) == expected


def test_a_sign_of_life_counts_from_when_it_is_seen(observer, clock):
    id = uuid4()
    for beat in range(20):
        assert observer.orphans([flow_run(sign(beat=beat), id=id)]) == []
        clock.now += 59
    clock.now += 1
    assert len(observer.orphans([flow_run(sign(beat=19), id=id)])) == 1


def test_a_process_of_this_host_that_was_killed_is_gone_sooner(observer, clock, killed):
    run = flow_run(killed)
    assert observer.orphans([run]) == []  # a run that is started again has the old labels for a moment
    clock.now = 20
    assert observer.orphans([run]) == [run]


def test_own_runs_and_those_without_a_runner_are_left_alone(observer, clock):
    runs = [flow_run(Sign.of_this_process()), flow_run(None)]
    assert observer.orphans(runs) == []
    clock.now = 3600
    assert observer.orphans(runs) == []


def test_after_an_outage_of_the_server_silence_counts_anew(observer, clock):
    run, answers = flow_run(sign()), [[], ConnectionError(), [], []]
    answers[0] = answers[2] = answers[3] = [run]
    client = SimpleNamespace(read_flow_runs=lambda **_: answer(answers.pop(0)))

    async def answer(what):
        if isinstance(what, Exception):
            raise what
        return what

    asyncio.run(observer.end_orphans(client))
    clock.now = 100
    with pytest.raises(ConnectionError):
        asyncio.run(observer.end_orphans(client))
    asyncio.run(observer.end_orphans(client))
    clock.now = 159  # were it ended, the client would be asked for what it has not
    asyncio.run(observer.end_orphans(client))


def test_what_was_to_be_cancelled_is_cancelled_and_the_rest_crashed():
    assert final_state(flow_run(sign(), StateType.CANCELLING)).type == StateType.CANCELLED
    for type in (StateType.RUNNING, StateType.PENDING):
        state = final_state(flow_run(sign(), type))
        assert state.type == StateType.CRASHED
        assert "Run it again" in state.message
