"""Plans, states and what a word means: what they print, at which width, and that they leave no trace."""

import json
import re
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from flows.cli import output, runs
from flows.cli.app import app
from flows.cli.options import find_run
from pipeline.plan.studies import study
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training import leases
from pipeline.training.owners import LeaseObserver, this_process


def strive(*words):
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


RUN = study("smoke").experiments[0]


def test_plan_knows_states_and_cost(store):
    plan = json.loads(strive("plan", "digits", "--store", store.url, "--workers", "2", "--json").output)
    assert set(plan) == {"study", "store", "runs", "flops_left", "seconds_left", "gpu_seconds_left", "workers"}
    assert {run["state"] for run in plan["runs"]} == {"missing"}
    assert plan["flops_left"] == sum(run["flops"] for run in plan["runs"]) > 0
    assert plan["seconds_left"] > 0


def test_plan_says_that_reading_shards_is_not_counted(store):
    last = strive("plan", "imagenet", "--store", store.url).output.splitlines()[-1]
    assert "images of imagenet is not counted" in last
    assert "not counted" not in strive("plan", "digits", "--store", store.url).output


def test_plan_divides_no_run_over_processes(store):
    alone, beside = (
        json.loads(strive("plan", "large", "--store", store.url, "--workers", n, "--json").output) for n in ("1", "2")
    )
    assert len(alone["runs"]) == 1
    assert alone["seconds_left"] == beside["seconds_left"]


def test_plan_and_dry_run_leave_no_trace(store, tmp_path):
    for words in (["plan", "digits"], ["status", "digits"], ["reproduce", "digits", "--dry-run"]):
        assert strive(*words, "--store", store.url).exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_status_says_who_works_and_what_came_out(store):
    one, two = study("smoke").experiments
    held, _ = leases.acquire(store, [one], 1, this_process(), LeaseObserver(store))
    store.write_json(RunFolder(two.id).result, {"outcome": "crashed", "attempt": 3, "why": ["no memory"]})
    answer = json.loads(strive("status", "smoke", "--store", store.url, "--json").output)
    first, second = answer["runs"]
    assert (first["state"], first["attempt"]) == ("running", held[0].attempt)
    assert str(held[0].owner.pid) in first["where"]
    assert (second["state"], second["why"]) == ("crashed", ["no memory"])
    assert "no memory" in strive("status", "smoke", "--store", store.url).output


def stop(store, *checkpoints):
    """An attempt that ended and left these checkpoints."""
    [lease], _ = leases.acquire(store, [RUN], 1, this_process(), LeaseObserver(store))
    for name in checkpoints:
        store.write_json(f"{RunFolder(RUN.id).attempt(lease.attempt)}/checkpoint/{name}.json", {})
    lease.end("released", "stopped by a test")


@pytest.mark.parametrize(
    ("checkpoints", "shown"),
    [
        (["1"], "stopped after 1 of 2 epochs"),
        (["1", "1-512"], "stopped after 512 of 1,442 images of epoch 2 of 2"),
        (["512", "0-64"], "stopped after 512 of 2 epochs"),
        (["0-64"], "stopped after 64 of 1,442 images of epoch 1 of 2"),
        ([], "missing"),
    ],
)
def test_status_of_a_stopped_run_is_how_far_its_furthest_checkpoint_is(store, checkpoints, shown):
    stop(store, *checkpoints)
    text = strive("status", "smoke", "--store", store.url).output
    assert shown in text.partition(RUN.id)[2].partition("all-cnn-c")[0]
    [run, _] = json.loads(strive("status", "smoke", "--store", store.url, "--json").output)["runs"]
    assert run["state"] == ("stopped" if checkpoints else "missing")
    assert run["needed"]


def test_a_stop_speaks_of_a_checkpoint_only_where_there_is_one(store):
    from flows.cli.run import stopped

    stop(store)
    assert "begins again" in stopped(store, RUN)
    assert "checkpoint" not in output.kept(store, study("smoke"))
    stop(store, "1")
    assert "1 of 2 epochs are kept" in stopped(store, RUN)
    assert "0 of 2 runs have their outcome, 1 a checkpoint" in output.kept(store, study("smoke"))


@pytest.mark.parametrize("columns", ["60", "80"])
@pytest.mark.parametrize(
    "words",
    [
        ["plan", "digits"],
        ["plan", "table-3"],
        ["plan", "table-3", "--all"],
        ["plan", "all"],
        ["status", "ablations"],
        ["networks"],
        ["networks", "Large-All-CNN"],
    ],
)
def test_a_narrow_terminal_cuts_no_id_and_no_number(words, columns, store, monkeypatch):
    where = [] if words[0] == "networks" else ["--store", store.url]
    monkeypatch.setenv("COLUMNS", "500")
    wide = strive(*words, *where).output
    monkeypatch.setenv("COLUMNS", columns)
    narrow = strive(*words, *where).output
    assert set(re.findall(r"[\w.-]*\d[\w.,-]*\w", wide)) <= set(re.findall(r"[\w.-]*\d[\w.,-]*\w", narrow))
    assert "…" not in narrow
    sentences = re.compile(r"[.:?]$|^!")  # those a terminal may wrap
    too_long = [line for line in narrow.splitlines() if len(line) > int(columns) and not sentences.search(line)]
    assert too_long == []


def test_a_run_that_may_be_several_is_answered_with_them(store):
    others = [replace(RUN, seed=seed) for seed in (97, 98, 99)]
    for one in others:
        store.write_json(RunFolder(one.id).experiment, one.plain())
    answer = " ".join(strive("retry", "strided-cnn-a.digits.lr0.004.s9", "--store", store.url).output.split())
    assert all(one.id in answer for one in others)


def test_a_plan_says_that_its_time_is_of_training_alone(store):
    assert "That is training alone" in strive("plan", "digits", "--store", store.url).output


def test_a_plan_of_many_runs_is_grouped_and_adds_up(store):
    text = strive("plan", "table-3", "--store", store.url).output
    groups = re.findall(r"^(\S+-[ABC]|Model [ABC]), (seed 0|further seeds|validation) +(\d+)", text, re.MULTILINE)
    assert len(groups) == 12 * 3
    assert sum(int(count) for _, _, count in groups) == 288
    assert "96 of 288 runs to train" in text
    every = strive("plan", "table-3", "--store", store.url, "--all").output
    assert all(e.id in every for e in study("table-3").wanted)


@pytest.mark.parametrize("word", ["Strided-CNN-A.digits.lr0.004.s0.bbe", RUN.id])
def test_a_run_is_found_by_the_beginning_of_its_id_in_any_case(store, word):
    assert find_run(store, word) == RUN


def test_a_run_that_only_the_store_knows_is_found_by_its_beginning(store):
    one = replace(RUN, seed=99)
    store.write_json(RunFolder(one.id).experiment, one.plain())
    assert find_run(store, one.id[:-2]) == one


def test_a_beginning_that_one_run_in_the_store_has_is_enough(store):
    """Ten seeds of it could be trained, and of digits and smoke both: what is there is meant."""
    store.write_json(RunFolder(RUN.id).experiment, RUN.plain())
    assert find_run(store, "strided-cnn-a.digits") == RUN


@pytest.mark.parametrize(
    ("number", "shown"),
    [(28.34e15, "28.3 P"), (9.997e17, "1 E"), (9.99e17, "999 P"), (1e9, "1 G"), (123_456_789, "123 M"), (0, "0 ")],
)
def test_quantities_have_three_digits_and_no_exponent(number, shown):
    assert runs.quantity(number) == shown
