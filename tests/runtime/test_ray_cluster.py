"""Ray that does not start: tried again, with nothing left of the tries, and its cause in a sentence."""

import subprocess
from types import SimpleNamespace
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
    assert set(psutil.Process().children()) == before


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


@pytest.mark.parametrize(
    ("head", "failed", "left"),
    [
        (True, False, ["session_of_another"]),
        (True, True, ["session_latest", "session_of_another", "session_ours"]),
        (False, False, ["session_latest", "session_of_another", "session_ours"]),  # a cluster that runs without us
    ],
)
def test_the_logs_of_our_own_ray_go_unless_something_failed(head, failed, left, monkeypatch, tmp_path):
    for name in ("ours", "of_another"):
        (tmp_path / f"session_{name}" / "logs").mkdir(parents=True)
    (tmp_path / "session_latest").symlink_to(tmp_path / "session_ours")
    node = SimpleNamespace(is_head=lambda: head, get_session_dir_path=lambda: str(tmp_path / "session_ours"))
    monkeypatch.setattr(ray_cluster, "_worker", SimpleNamespace(_global_node=node))
    monkeypatch.setattr(ray_cluster, "_logs_tell", False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    if failed:
        ray_cluster.keep_logs()
    ray_cluster.disconnect()
    assert sorted(path.name for path in tmp_path.iterdir()) == left
