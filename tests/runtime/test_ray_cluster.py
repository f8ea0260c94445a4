"""Ray that does not start: tried again, with nothing left of the tries, and its cause in a sentence."""

import contextlib
import os
import subprocess
from unittest.mock import Mock

import psutil
import pytest
import ray
from ray.exceptions import RayTaskError

from pipeline.errors import StoreAway, UserError
from pipeline.runtime import ray_cluster


def test_a_start_that_fails_is_tried_again_and_then_said_in_a_sentence(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "")
    before, started = set(psutil.Process().children()), []

    def fails(**_options):
        started.append(subprocess.Popen(["sleep", "60"]))
        raise Exception("The current node timed out during startup.\nA second line.")

    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(UserError, match="did not start in 3 tries: The current node timed out during startup"):
        ray_cluster.connect(1)
    assert len(started) == ray_cluster.STARTS
    assert all(process.wait(10) < 0 for process in started)
    assert set(psutil.Process().children()) <= before  # those of earlier tests may end


def test_a_later_start_is_good_enough(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "")
    answers = [Exception("timed out"), None]

    def second(**_options):
        if error := answers.pop(0):
            raise error

    monkeypatch.setattr(ray, "init", second)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    assert ray_cluster.connect(2) == ray_cluster.Placement(workers=2, asked=2)
    assert answers == []


@pytest.mark.parametrize(
    ("asked", "have", "may", "workers", "gpus_each", "growth"),
    [
        (None, {"CPU": 2}, {}, 2, 0, 0),
        (None, {"CPU": 16, "GPU": 4}, {}, 4, 1, 0),
        (8, {"CPU": 16, "GPU": 4}, {}, 8, 0.5, 0),
        (None, {}, {}, 1, 0, 0),  # machines may join by hand
        (None, {}, {"CPU": 12}, 1, 0, 12),  # from zero
        (None, {"CPU": 4}, {"CPU": 68, "GPU": 8}, 1, 1, 8),  # GPUs come when they are asked for
        (None, {"CPU": 12, "GPU": 1}, {"CPU": 68, "GPU": 8}, 1, 1, 8),
        (4, {}, {"CPU": 64, "GPU": 8}, 4, 1, 8),
    ],
)
def test_workers_are_counted_on_what_the_autoscaler_may_bring(asked, have, may, workers, gpus_each, growth):
    found = ray_cluster.placed(asked, have, may)
    assert (found.workers, found.gpus_per_worker, found.growth) == (workers, gpus_each, growth)
    assert found.together == (1 if not gpus_each else ray_cluster.TOGETHER)


def test_what_a_call_raises_on_a_worker_is_raised_as_it_was(monkeypatch):
    """Ray's own error has a traceback for its text."""
    away = StoreAway("the store has not answered for 900 s")

    def get(_refs):
        raise RayTaskError("call", "Traceback: ...\npipeline.errors.StoreAway: ...", away).as_instanceof_cause()

    monkeypatch.setattr(ray, "remote", Mock())
    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(StoreAway) as raised:
        ray_cluster.each(str, ["item"], ray_cluster.Placement(1), 0)
    assert raised.value is away


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("failed", [False, True])
def test_the_logs_of_our_own_ray_go_unless_something_failed(failed, stopped, monkeypatch, tmp_path):
    """Those of another process stay, and those of an earlier one that had our number."""
    ours, others = f"session_today_{os.getpid()}", ["session_today_1", f"session_earlier_{os.getpid()}"]
    for name in others:
        (tmp_path / "ray" / name).mkdir(parents=True)

    def begin(**_options):
        (tmp_path / "ray" / ours / "logs").mkdir(parents=True)
        (tmp_path / "ray" / "session_latest").symlink_to(tmp_path / "ray" / ours)
        if stopped:  # by SIGTERM, before Ray has begun
            raise SystemExit(143)

    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(ray_cluster, "_logs_tell", False)
    monkeypatch.setattr(ray_cluster, "_before_ours", None)
    monkeypatch.setattr(ray, "init", begin)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with contextlib.suppress(SystemExit):
        ray_cluster._start(1)
    if failed:
        ray_cluster.keep_logs()
    ray_cluster.disconnect()
    left = [*others, ours, "session_latest"] if failed else others
    assert sorted(path.name for path in (tmp_path / "ray").iterdir()) == sorted(left)


def test_the_logs_of_a_cluster_that_runs_without_us_stay(monkeypatch, tmp_path):
    (tmp_path / "ray" / f"session_today_{os.getpid()}").mkdir(parents=True)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(ray_cluster, "_logs_tell", False)
    monkeypatch.setattr(ray_cluster, "_before_ours", None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    ray_cluster.disconnect()
    assert len(list((tmp_path / "ray").iterdir())) == 1
