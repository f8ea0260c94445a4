"""What is shown of runs: within an epoch, by a run's name, of a whole store; and how long the rest will take."""

import json
from dataclasses import replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from flows.cli.app import app
from flows.cli.progress_display import Display
from flows.cli.run import stopped
from pipeline.plan.schedule import cpu_seconds
from pipeline.plan.studies import study
from pipeline.records.attempt import Heartbeat
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training.leases import acquire
from pipeline.training.owners import LeaseObserver, this_process
from pipeline.training.progress import Progress, seconds_left

RUN = study("smoke").experiments[0]
OWN = replace(RUN, seed=99)  # of no study


def strive(*words):
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


def begin(store, experiment=RUN):
    [lease], _ = acquire(store, [experiment], 1, this_process(), LeaseObserver(store))
    store.create_json(RunFolder(experiment.id).experiment, experiment.plain())
    return lease


def test_images_within_the_first_epoch_are_shown_with_their_rate(store):
    lease = begin(store)
    lease.within_epoch(0, 1024, 4.0)
    lease.beat()
    words = "running, 1,024 of 1,442 images of epoch 1 of 2 done, 256 images/s"
    assert words in strive("status", "smoke", "--store", store.url).output
    assert words in strive("status", RUN.id[:-3], "--store", store.url).output
    answer = json.loads(strive("status", RUN.id, "--store", store.url, "--json").output)
    assert (answer["images"], answer["epoch_images"], answer["images_per_second"]) == (1024, 1442, 256.0)
    display = Display(store, study("smoke"), 1, Console())
    assert "s0 0/2, 1,024 of 1,442 images, 256 images/s" in display._line("training", display._standings())


def test_what_is_left_follows_the_observed_rate_within_the_first_epoch(store):
    progress = Progress(store, [RUN])
    lease = begin(store)
    lease.beat()
    assert seconds_left(progress.statuses(), 1) == pytest.approx(cpu_seconds(RUN))
    lease.within_epoch(0, 1000, 1000 / 2.5)
    lease.beat()
    assert seconds_left(progress.statuses(), 1) == pytest.approx((2 * 1442 - 1000) / 2.5)  # images by images a second


def test_an_ended_epoch_takes_the_place_of_the_images_within_it(store):
    lease = begin(store)
    lease.within_epoch(0, 1024, 4.0)
    lease.progress(1, 6.0)
    lease.beat()
    [status] = Progress(store, [RUN]).statuses()
    assert (status.epoch, status.images, status.epoch_seconds) == (1, 0, 6.0)


def test_heartbeats_of_older_code_are_read():
    assert Heartbeat.from_json(b'{"beat": 3, "at": "2025-01-01T00:00:00+00:00"}', "there").images is None


def test_a_stopped_run_says_from_where_it_goes_on(store, capsys):
    lease = begin(store)
    store.write_json(f"{RunFolder(RUN.id).attempt(1)}/checkpoint/0-1024.json", {})
    lease.end("released", "stopped by a test")
    again = f"`strive run {RUN.id} --store {store.url}` goes on from there"
    assert stopped(store, RUN) == f"1,024 of 1,442 images of epoch 1 of 2 are kept; {again}."
    with Display(store, study("smoke"), 1, Console(width=200)):
        pass
    assert f"{RUN.id} goes on after 1,024 of 1,442 images of epoch 1 of 2." in capsys.readouterr().out


def test_status_alone_lists_studies_and_single_runs(store):
    assert "holds no runs yet" in strive("status", "--store", store.url).output
    begin(store)
    begin(store, OWN)
    text = strive("status", "--store", store.url).output
    assert text.splitlines()[1].split() == ["smoke", "1", "2"]
    assert OWN.id in text
    answer = json.loads(strive("status", "--store", store.url, "--json").output)
    assert answer["studies"] == [{"study": "smoke", "done": 0, "running": 1, "stopped": 0, "failed": 0, "of": 2}]
    assert [run["id"] for run in answer["runs"]] == [OWN.id]


def test_a_run_at_work_elsewhere_is_answered_with_a_command_that_works(store, monkeypatch):
    begin(store, OWN)
    monkeypatch.setattr("pipeline.data.prepare.make", lambda *_: None)
    answer = strive("run", OWN.id, "--store", store.url)
    assert answer.exit_code == 2
    assert f"`strive status {OWN.id} --store {store.url}` shows how far it is" in answer.output
    assert "running" in strive("status", OWN.id, "--store", store.url).output
