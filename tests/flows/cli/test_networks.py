"""The command `strive networks`: the paper's table, and the networks of a study of one's own."""

import json
from pathlib import Path

from typer.testing import CliRunner

from flows.cli.app import app
from pipeline.paper.networks import NETWORKS

README = Path(__file__).parents[3] / "README.md"


def strive(*words):
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def test_networks_prints_the_papers_table():
    out = strive("networks", "all-cnn-c").output
    assert out.count("3x3 conv. 96 ReLU") == 3
    assert "10 x 6 x 6" in out
    assert "1,369,738" in out
    listed = json.loads(strive("networks", "--json").output)
    assert {n["name"]: n["parameters"] for n in listed}["model-c"] == 954_730
    assert [n["name"] for n in listed] == list(NETWORKS)


def test_the_networks_of_an_own_study_are_shown(monkeypatch):
    monkeypatch.setenv("STRIVE_STUDIES", "")
    shown = strive("networks", str(README.with_name("docs") / "my_study.py")).output
    assert "5x5 conv. 8 ReLU" in shown
    assert "the paper prints" not in shown
