"""Ray that does not start: tried again, with nothing left of the tries, and its cause in a sentence."""

import subprocess

import psutil
import pytest
import ray

from pipeline.errors import UserError
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
