"""What `strive run` and `strive work` do with leases, on a store whose runs are trained by a stand-in."""

import json
from dataclasses import replace

import pytest
from support.synthetic import result
from typer.testing import CliRunner

from flows.cli import run
from flows.cli.app import app
from flows.cli.hints import command
from pipeline.plan.studies import study
from pipeline.records.attempt import Heartbeat
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training import attempts, job, leases
from pipeline.training.leases import LeaseLost
from pipeline.training.owners import this_process

SMOKE = study("smoke")
RUNS = SMOKE.experiments


@pytest.fixture
def said(monkeypatch):
    """What is printed; data are not prepared, and what is trained ends at once."""

    def finish(held, store):
        [lease] = held
        with lease:
            made = result(lease.experiment, 3.0)
            store.create_record(lease.run.result, made)
            lease.finish(made)
        return [made]

    monkeypatch.setattr(run.prepare, "make", lambda *_: "")
    monkeypatch.setattr(job, "run", finish)
    return []


def test_no_run_is_taken_before_its_data_are_prepared(said, store, monkeypatch):
    """A lease whose owner writes no heartbeat is taken over after a minute."""
    taken = []

    def make(*_):
        taken.append([attempts.attempts(store, RunFolder(e.id)).last for e in RUNS])
        return ""

    monkeypatch.setattr(run.prepare, "make", make)
    run._work(store, SMOKE, None, said.append, said.append)
    assert taken == [[0] * len(RUNS)]
    assert len(said) == len(RUNS)


def test_a_run_that_another_process_took_over_ends_no_other(said, store, monkeypatch):
    finish, lost = job.run, []

    def lose_the_first(held, store):
        if lost:
            return finish(held, store)
        lost.append(held[0])
        other = leases.create(store, held[0].experiment, 2, this_process())
        store.write(other.run.heartbeat(2), Heartbeat(at=attempts.now()).to_json())
        finish([other], store)
        raise LeaseLost(f"attempt 1 on {held[0].run.id} was taken over")

    monkeypatch.setattr(job, "run", lose_the_first)
    run._work(store, SMOKE, None, said.append, said.append)
    assert f"attempt 1 on {lost[0].run.id} was taken over: this process goes on with other runs" in said
    assert len(said) == len(RUNS)
    assert all(store.exists(RunFolder(e.id).result) for e in RUNS)


@pytest.mark.parametrize(
    ("outcome", "says"), [("done", "ended already (done)"), ("dead", "ended already (did not learn)")]
)
def test_a_run_that_ended_just_before_ctrl_c_is_not_said_to_begin_again(store, outcome, says):
    store.write_record(RunFolder(RUNS[0].id).result, replace(result(RUNS[0], 3.0), outcome=outcome))
    assert says in run.stopped(store, RUNS[0])


def test_a_command_that_is_hinted_at_needs_no_store_in_the_settings(store, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no store")
    monkeypatch.setenv("STRIVE_STORE", str(tmp_path / "file"))
    assert command(store, "retry", "x") == f"`strive retry x --store {store.url}`"


def test_work_answers_programs_as_status_does_and_tells_a_run_that_failed(said, tmp_path, monkeypatch):
    made = replace(result(RUNS[0], 3.0), outcome="diverged", why=["the loss is infinite"])
    open_store(str(tmp_path)).write_record(RunFolder(RUNS[0].id).result, made)
    monkeypatch.setattr("flows.cli.doctor.insist_on_data", lambda *_: None)
    done = CliRunner().invoke(app, ["work", "smoke", "--store", str(tmp_path), "--json"])
    assert done.exit_code == 3
    assert {run["state"] for run in json.loads(done.stdout)["runs"]} == {"done", "diverged"}
    shown = CliRunner().invoke(app, ["status", "smoke", "--store", str(tmp_path), "--json"])
    assert json.loads(shown.stdout) == json.loads(done.stdout)
    again = CliRunner().invoke(app, ["work", "smoke", "--store", str(tmp_path)])
    assert again.exit_code == 3
    assert "nothing is left to train" in again.stdout
    assert f"diverged  {RUNS[0].id}: `strive retry {RUNS[0].id}" in again.stdout


def test_results_go_to_standard_output_and_progress_to_standard_error(said, store, monkeypatch, capsys):
    monkeypatch.setattr(run.prepare, "make", lambda *words: words[-1]("whitening"))
    run.work_here(store, SMOKE, None, print, quiet=False)
    heard = capsys.readouterr()
    assert all(" done: " in line for line in heard.out.splitlines())
    assert "whitening" in heard.err
