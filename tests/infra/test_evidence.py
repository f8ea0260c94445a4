"""Training in the background: which processes are its own, and paths that a shell would split."""

import os
import runpy
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def evidence(root, tmp_path, monkeypatch):
    monkeypatch.setenv("STRIVE_EVIDENCE", str(tmp_path / "my evidence"))
    return runpy.run_path(str(root / "infra/evidence.py"))


@pytest.fixture
def group():
    """A process that leads a group of its own."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as leader:
        yield leader
        leader.kill()


def test_a_group_that_has_a_number_of_ours_after_a_boot_is_not_ended(evidence, group):
    evidence["PIDS"].mkdir(parents=True)
    note = evidence["PIDS"] / "0"
    note.write_text(f"{group.pid} {evidence['_started'](group.pid)}")
    assert evidence["running"]() == [group.pid]
    note.write_text(f"{group.pid} 1")
    assert evidence["running"]() == []
    note.write_text(str(group.pid))  # as earlier code wrote it
    assert evidence["running"]() == [group.pid]


def test_a_copy_that_was_cut_off_is_made_again(evidence, tmp_path, monkeypatch):
    """Whatever of the run's files the disk is full at, what is left has no result."""
    run, to = tmp_path / "run", tmp_path / "to"
    for name in ("attempts/1/history.parquet", "evaluation.json", "experiment.json", "result.json", "zeta.json"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    copy, left = shutil.copy2, [0]

    def full(*given, **more):
        left[0] -= 1
        if left[0] < 0:
            raise OSError("no space left")
        return copy(*given, **more)

    monkeypatch.setattr(shutil, "copy2", full)
    monkeypatch.setattr(shutil.copytree, "__defaults__", (False, None, full, False, False))
    for enough in range(5):
        left[0] = enough
        with pytest.raises((OSError, shutil.Error)):
            evidence["_copy"](run, to)
        assert not (to / "result.json").exists()
    left[0] = 5
    evidence["_copy"](run, to)
    assert {file.name: file.read_text() for file in to.glob("*.json")}["result.json"] == "result.json"


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # on purpose: it outlives `start`
def test_a_folder_with_a_blank_trains(evidence, monkeypatch):
    strive = evidence["CODE"] / ".venv/bin/strive"
    strive.parent.mkdir(parents=True)
    strive.write_text("#!/bin/sh\necho worked on $2\n")
    strive.chmod(0o755)
    state = evidence["start"].__globals__
    monkeypatch.setitem(state, "check_out", lambda _commit: None)
    monkeypatch.setitem(state, "take_from_results", lambda: None)
    evidence["start"]("HEAD", None, 1)
    [pid] = [int(file.read_text().split()[0]) for file in evidence["PIDS"].iterdir()]
    os.waitpid(pid, 0)
    said = (evidence["LOGS"] / "0.log").read_text()
    assert "worked on quarter" in said
    assert "not found" not in said


def test_a_commit_that_is_not_there_is_told_in_gits_words(evidence):
    with pytest.raises(SystemExit, match=r"git rev-parse --verify nowhere: fatal: Needed a single revision"):
        evidence["git"]("rev-parse", "--verify", "nowhere")
