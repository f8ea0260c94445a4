"""The simulated fleet: its clock by hand, its counts at a small scale, and a store that refuses."""

import pytest

from pipeline.bench.fleet_requests import lines, measure, size
from pipeline.bench.simulated_fleet import Simulation
from pipeline.bench.virtual_time import VirtualTime
from pipeline.errors import UserError


def test_the_clock_jumps_and_all_wake_in_turn():
    time, said = VirtualTime(), []
    done = time.Event()

    def sleeper(name, seconds, times):
        for _ in range(times):
            time.sleep(seconds)
            said.append((name, time.monotonic()))
        if name == "slow":
            done.set()

    def waiter():
        said.append((done.wait(5), time.monotonic()))
        said.append((done.wait(), time.monotonic()))

    for call in (lambda: sleeper("fast", 3, 3), lambda: sleeper("slow", 10_000, 1), waiter):
        time.spawn(call)
    time.run()
    assert said == [("fast", 3), (False, 5), ("fast", 6), ("fast", 9), ("slow", 10_000), (True, 10_000)]


def test_what_a_thread_raises_is_raised():
    time = VirtualTime()
    time.spawn(lambda: time.sleep(1) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        time.run()


def test_a_small_fleet_keeps_to_what_is_promised_of_a_large_one():
    found = measure(24, 96)
    assert found["requests_a_run"] <= 150
    assert found["busy"] >= 0.95
    assert found["all_at_work_seconds"] <= 10
    assert found["most_of_a_look"] <= 60
    assert found["later_attempts"] == 0
    assert any("96 runs of 70 to 118 s" in line for line in lines(found))


def test_a_store_that_refuses_most_slows_a_fleet_and_restarts_no_worker():
    """20 workers ask for about 25 requests a second; 15 of them are taken."""
    fleet = Simulation(20, 20)
    fleet.limit(5, 10)
    fleet.run(look=False)
    assert fleet.backend.requests["503"] > 100
    assert [end.all_done for end in fleet.seen.ends] == [True] * 20
    assert fleet.later_attempts() == 0
    assert len(fleet.backend.folders_two_below("runs", "attempts")) == 20


def test_a_size_is_two_numbers():
    assert size("1000x10000") == (1000, 10_000)
    with pytest.raises(UserError, match="workers and runs"):
        size("0x5")
