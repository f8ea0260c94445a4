"""The flow `train` with a fleet of our own making: every run gets the state that the store gives it."""

import json
import logging
import threading
import time
from contextlib import ExitStack
from types import SimpleNamespace

import httpx
import pytest

from pipeline.errors import UserError
from pipeline.plan.studies import STUDIES, study
from pipeline.records.dataset import DatasetManifest
from pipeline.runtime.driver import Driver
from pipeline.store.objects import open_store
from pipeline.store.paths import DatasetFolder, RunFolder, StudyFolder
from pipeline.training.attempts import record_crash
from pipeline.training.leases import acquire
from pipeline.training.owners import LeaseObserver, this_process

ONE, TWO = study("smoke").experiments


@pytest.fixture(scope="module")
def harness():
    from prefect.testing.utilities import prefect_test_harness

    with ExitStack() as stack:
        for left in (2, 1, 0):
            try:
                stack.enter_context(prefect_test_harness(server_startup_timeout=120))
                break
            except httpx.RemoteProtocolError:  # Ray, in another test, took the port that the harness had found free
                if not left:
                    raise
        yield


@pytest.fixture
def fleet(monkeypatch):
    """Stands in for Ray: calls what a test sets as `work` with the experiments and the store."""
    fake = SimpleNamespace(work=None, stopped=0)

    class Fleet:
        def __init__(self, experiments, store_url, _workers, _news):
            self.order = experiments, open_store(store_url)

        def wait(self):
            fake.work(*self.order)

        def stop(self):
            fake.stopped += 1

    monkeypatch.setattr("flows.train.Fleet", Fleet)
    return fake


@pytest.fixture
def of_smoke(tmp_path):
    """The parameters of a flow about the study smoke."""
    return {"study": "smoke", "store": str(tmp_path)}


def done(store, experiment, **more):
    result = {"outcome": "done", "attempt": 1, "epochs": 2, "wrong": 3, "seen": 355, "seconds": 1.0, **more}
    store.write_json(RunFolder(experiment.id).result, result)


@pytest.mark.prefect
def test_every_run_is_a_task_run_with_the_state_of_its_outcome(harness, fleet, of_smoke):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter

    from flows.train import train

    def work(experiments, store):
        assert [e.id for e in experiments] == [TWO.id, ONE.id]  # the longest first
        done(store, ONE)
        record_crash(store, TWO, 3, ["no memory"])

    fleet.work = work
    state = train(**of_smoke, return_state=True)
    assert state.is_completed()
    assert state.result() == {ONE.id: "done", TWO.id: "crashed"}
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [state.state_details.flow_run_id]}))
    states = {run.name: (run.state.name, run.state.message) for run in runs}
    assert set(states) == {"fleet of smoke", ONE.label, TWO.label}
    assert states[ONE.label] == ("Completed", f"{ONE.id}: 3 wrong of 355, 0.85 %")
    assert states[TWO.label][0] == "Crashed"
    assert "no memory" in states[TWO.label][1]
    assert fleet.stopped == 0


@pytest.mark.prefect
def test_a_diverged_run_is_called_so_and_nothing_is_tried_again(harness, fleet, of_smoke):
    from flows.train import train

    calls = []

    def work(experiments, store):
        calls.append(experiments)
        done(store, ONE)
        done(store, TWO, outcome="diverged")

    fleet.work = work
    assert train(**of_smoke) == {ONE.id: "done", TWO.id: "diverged"}
    assert train(**of_smoke) == {ONE.id: "done", TWO.id: "diverged"}
    assert len(calls) == 1


@pytest.mark.prefect
def test_a_fleet_that_fails_fails_the_flow_and_lets_go_of_its_runs(harness, fleet, of_smoke):
    from flows.train import train

    def work(_experiments, _store):
        raise ConnectionError("no such cluster")

    fleet.work = work
    with pytest.raises(ConnectionError, match="no such cluster"):
        train(**of_smoke)
    assert fleet.stopped == 0


@pytest.mark.prefect
def test_an_interrupted_flow_stops_its_fleet(harness, fleet, of_smoke, monkeypatch):
    import flows.train

    begun = threading.Event()
    fleet.work = lambda *_: begun.set()

    def interrupted(*_, **__):
        begun.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(flows.train, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        flows.train.train(**of_smoke)
    assert fleet.stopped == 1


@pytest.fixture
def renderers(monkeypatch):
    """Stands in for the cluster, which would be asked however small the work is: calls what a test sets as `draw`."""
    from pipeline.visualization import render
    from pipeline.visualization.upload import Rate

    fake = SimpleNamespace(draw=lambda: Rate(9, 3, 1.0, 2.0), asked=[], stopped=0)

    class Rendering(Driver):
        def __init__(self, work, store_url, workers):
            fake.asked.append((work, store_url, workers))

        def rate(self):
            return fake.draw()

        def stop(self):
            fake.stopped += 1

    monkeypatch.setattr(render, "HERE_SECONDS", 0)
    monkeypatch.setattr("flows.explain.Rendering", Rendering)
    return fake


@pytest.fixture
def to_explain(tmp_path):
    """Parameters about one finished run and one that diverged, whose data set is prepared."""
    store = open_store(str(tmp_path))
    done(store, ONE, digests={"model": "1", "dataset": "2"})
    done(store, TWO, outcome="diverged", digests={})
    manifest = DatasetFolder(ONE.dataset, ONE.recipe.preprocess).manifest
    store.write_record(manifest, DatasetManifest(objects={}, dataset={}, preprocess={}))
    return {"study": "smoke", "store": str(tmp_path), "image_numbers": list(range(20)), "workers": 3}


@pytest.mark.prefect
def test_much_to_draw_goes_to_the_cluster_and_the_page_is_hung(harness, renderers, to_explain):
    from flows.explain import explain

    page = explain(**to_explain)
    [(work, url, workers)] = renderers.asked
    assert [(e.id, [p.images for p in pictures if p.kind == "maps"]) for e, pictures in work] == [
        (ONE.id, [tuple(range(20))] * 4)
    ]
    store = open_store(to_explain["store"])
    assert (url, workers, renderers.stopped) == (store.url, 3, 0)
    assert store.exists(page)


@pytest.mark.prefect
def test_a_run_that_cannot_be_drawn_fails_the_flow_after_the_others(harness, to_explain, monkeypatch):
    from flows.explain import explain
    from pipeline.visualization.upload import Rate

    store, drawn = open_store(to_explain["store"]), []
    done(store, TWO, digests={"model": "3", "dataset": "2"})

    def render_here(_store, work):
        [(experiment, _)] = work
        if experiment == ONE:
            raise ValueError("its weights are damaged")
        drawn.append(experiment)
        return Rate(1, 1, 1.0, 1.0)

    monkeypatch.setattr("flows.explain.render_here", render_here)
    with pytest.raises(ValueError, match="its weights are damaged"):
        explain(**to_explain)
    assert drawn == [TWO]
    assert store.exists(StudyFolder("smoke").gallery)


@pytest.mark.prefect
def test_drawing_that_is_interrupted_stops_the_cluster(harness, renderers, to_explain):
    from flows.explain import explain

    def interrupted():
        raise KeyboardInterrupt

    renderers.draw = interrupted
    with pytest.raises(KeyboardInterrupt):
        explain(**to_explain)
    assert renderers.stopped == 1


@pytest.mark.prefect
def test_drawing_here_that_is_interrupted_is_over(harness, to_explain, monkeypatch):
    from flows.explain import explain

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.explain.render_here", interrupted)
    with pytest.raises(KeyboardInterrupt):
        explain(**to_explain)
    assert not open_store(to_explain["store"]).exists(StudyFolder("smoke").gallery)


def schema_of(name):
    from flows.deployments import deployment

    return deployment(name)._parameter_openapi_schema.model_dump(exclude_unset=True)


NAMES = ("reproduce", "prepare", "train", "publish", "explain")
REFUSED = {"images": 0, "image_numbers": [-1], "methods": ["guidde"], "layers": ["conv0"], "top": 0, "seeds": 101}


@pytest.mark.parametrize("name", ["explain", "reproduce"])
@pytest.mark.parametrize("field", REFUSED)
def test_the_server_refuses_what_no_study_can_take(name, field):
    from jsonschema import Draft202012Validator  # as the server asks

    schema = schema_of(name)
    form = Draft202012Validator(schema)
    untouched = {field: about["default"] for field, about in schema["properties"].items()}
    form.validate(untouched)
    assert not form.is_valid(untouched | {field: REFUSED[field]})


@pytest.mark.prefect
@pytest.mark.parametrize("field", [{"image_numbers": [9999]}, {"layers": ["conv99"]}])
def test_what_this_study_cannot_take_is_refused_before_any_work(harness, tmp_path, field):
    from flows.explain import explain
    from flows.reproduce import reproduce

    for flow in (explain, reproduce):
        with pytest.raises(UserError):
            flow(study="smoke", store=str(tmp_path), **field)
    assert open_store(str(tmp_path)).names("") == []


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_a_form_is_flat_and_has_a_title_and_help(name):
    schema = schema_of(name)
    assert next(iter(schema["properties"])) == "study"
    for field, about in schema["properties"].items():
        assert about["title"][0].isupper(), field
        assert 20 < len(about["description"]) < 160, field  # the form does not wrap it
        assert "object" not in json.dumps(about), field
    assert schema["required"] == [f for f, about in schema["properties"].items() if about["default"] is not None]


def test_a_deployment_says_what_each_study_is_and_costs():
    from flows.deployments import deployment

    rows = [line.split("|")[1].strip() for line in deployment("reproduce").description.splitlines() if "|" in line]
    assert rows[2:] == [f"`{name}`" for name in STUDIES]


@pytest.mark.parametrize(
    ("name", "generated"),
    [
        ("precious-walrus", True),  # by the server
        ("gamma893-rukbah-z", True),  # by the UI
        ("omega-vega", True),
        ("Refined-Somali", True),  # by the newer UI
        ("Weekly-Look", False),
        ("weekly-check", False),
        ("my look", False),
        ("table-3-final", False),
    ],
)
def test_only_names_that_prefect_made_up_are_replaced(name, generated):
    from flows.hosted import _is_generated

    assert _is_generated(name) is generated


def test_reproduce_is_scheduled_weekly_and_paused():
    from flows.deployments import deployment

    [schedule] = deployment("reproduce").schedules
    assert schedule.active is False
    assert schedule.schedule.cron.split()[-1] == "6"


@pytest.mark.prefect
def test_data_that_is_not_whole_is_refused_before_anything_is_trained(harness, tmp_path):
    from flows.prepare import prepare

    (tmp_path / "data" / "cifar-100-python").mkdir(parents=True)
    store = str(tmp_path / "store")
    with pytest.raises(UserError, match="cifar-100-python/train"):
        prepare(study="cifar-100", store=store, data_dir=str(tmp_path / "data"))
    assert open_store(store).names("") == []


@pytest.mark.prefect
def test_news_of_preparing_are_in_the_store_until_it_is_prepared(harness, tmp_path, monkeypatch):
    from flows.cli.progress_display import Display, console
    from flows.prepare import prepare

    heard = []

    def make(store, dataset, how, data_dir, show):
        assert data_dir == str(tmp_path)
        show("file: 3 of 170 MB")
        heard.append(Display(store, study("smoke"), 1, console())._stage(standings=[NOTHING]))
        return "made"

    monkeypatch.setattr("pipeline.data.prepare.make", make)
    assert prepare(study="smoke", store=str(tmp_path / "store"), data_dir=str(tmp_path)) == ["made"]
    assert heard == ["preparing the data: file: 3 of 170 MB"]
    assert open_store(str(tmp_path / "store")).names("") == []


@pytest.mark.prefect
def test_photographs_that_are_worth_it_are_decoded_on_the_cluster(harness, tmp_path, monkeypatch):
    from flows.prepare import prepare
    from pipeline.data import preparation

    orders = []

    class Preparation:
        def __init__(self, *order):
            orders.append(order)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            orders.append("left")

        def wait(self):
            return "made there"

    monkeypatch.setattr(preparation, "Preparation", Preparation)
    monkeypatch.setattr(preparation, "is_small", lambda _store, dataset, _how: not dataset.shard)
    monkeypatch.setenv("STRIVE_WORKERS", "3")
    store = str(tmp_path / "store")
    assert prepare(study="imagenet", store=store, data_dir="/photographs") == ["made there"]
    [one] = study("imagenet").experiments
    assert orders == [(one.dataset, one.recipe.preprocess, store, "/photographs", 3), "left"]
    assert open_store(store).names("") == []


NOTHING = SimpleNamespace(has_outcome=False, state="missing")


def _foreseen(kind):
    raise kind("the disk is full")


@pytest.mark.prefect
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("kind", [UserError, OSError])
def test_a_foreseen_error_is_one_sentence_in_the_log_and_in_the_state(harness, kind, silent, caplog, monkeypatch):
    from prefect import flow, task

    from flows.foreseen import ONE_SENTENCE

    monkeypatch.setattr(ONE_SENTENCE, "silent", silent)
    inner = task(_foreseen)
    state = flow(lambda: inner(kind), name="outer")(return_state=True)
    assert state.is_failed()
    assert state.message.endswith(f"{kind.__name__}: the disk is full")
    failed = [record for record in caplog.records if record.levelname == "ERROR"]
    assert not any(record.exc_info for record in failed)
    said = {record.getMessage() for record in failed if "Finished in state" not in record.getMessage()}
    assert said == (set() if silent else {"the disk is full"})


@pytest.mark.prefect
def test_an_error_of_our_own_keeps_its_traceback(harness, caplog):
    from prefect import flow

    state = flow(lambda: _foreseen(KeyError), name="outer")(return_state=True)
    assert state.is_failed()
    assert any(record.exc_info for record in caplog.records)


def test_a_command_that_was_interrupted_says_so_itself():
    """What Prefect logs of an interrupted flow, word for word."""
    from flows.foreseen import OneSentence

    said = "Crash detected! Execution was aborted by an interrupt signal."
    record = logging.LogRecord("prefect.flow_runs", logging.ERROR, "", 0, said, (), None)
    quiet, loud = OneSentence(), OneSentence()
    quiet.silent = True
    assert not quiet.filter(record)
    assert loud.filter(record)


@pytest.mark.prefect
def test_a_run_that_is_trained_again_otherwise_has_drifted(harness, fleet, of_smoke):
    from flows.automations import NEWS
    from flows.replicate import replicate
    from flows.reproduce import final_state

    kept = open_store(of_smoke["store"])
    summary = {"summary": {"network": "all-cnn-c", "torch": "1"}}
    for experiment in (ONE, TWO):
        done(kept, experiment, digests={"model": "a", "history": "b", "dataset": "c"}, **summary)
    before = {name: kept.read(name) for name in kept.names("")}

    def work(experiments, store):
        for experiment in experiments:
            wrong = 3 if experiment == ONE else 300
            model = {"model": "a" if experiment == ONE else "x", "history": "b", "dataset": "c"}
            done(store, experiment, wrong=wrong, digests=model, **summary)

    fleet.work = work
    found = replicate(**of_smoke, replicate=5)
    assert found == {ONE.id: "same bits", TWO.id: "drifted"}
    assert {name: kept.read(name) for name in before} == before
    state = final_state(kept, study("smoke"), found)
    assert state.is_failed()
    assert state.name == "Drifted"
    assert state.name in NEWS
    assert TWO.id in state.message
    assert final_state(kept, study("smoke"), {ONE.id: "same bits"}) is None


@pytest.mark.prefect
def test_a_crashed_run_fails_the_flow_once_all_is_published(harness, of_smoke):
    from flows.reproduce import final_state

    kept = open_store(of_smoke["store"])
    done(kept, ONE)
    record_crash(kept, TWO, 3, ["no memory"])
    state = final_state(kept, study("smoke"), {})
    assert state.is_failed()
    assert TWO.id in state.message
    done(kept, TWO, outcome="diverged")  # an outcome of the experiment, not a failure of the flow
    assert final_state(kept, study("smoke"), {}) is None


@pytest.mark.prefect
def test_tasks_wait_for_their_runs_and_their_logs_tell_how_these_go(harness, fleet, of_smoke, monkeypatch):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, LogFilter, LogFilterTaskRunId
    from prefect.context import TaskRunContext

    from flows import watch
    from flows.train import train

    monkeypatch.setattr(watch, "LOG_SECONDS", 0.3)
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.2)
    seen = {}

    def states(flow_run):
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [flow_run]}))
        return {run.name: run for run in runs}

    def work(_experiments, store):
        [held], _ = acquire(store, [ONE], 1, this_process(), LeaseObserver(store))
        with held:
            held.progress(1, 2.0)
            until = time.monotonic() + 30
            while time.monotonic() < until:
                flow_run = TaskRunContext.get().task_run.flow_run_id
                seen.update({name: run.state.name for name, run in states(flow_run).items() if run.state})
                if seen.get(ONE.label) == "Running" and seen.get(TWO.label) == "Pending":
                    time.sleep(1.5)
                    break
                time.sleep(0.3)
            done(store, ONE)
            done(store, TWO)
            held.finished = True

    fleet.work = work
    state = train(**of_smoke, return_state=True)
    assert state.is_completed()
    assert (seen[ONE.label], seen[TWO.label]) == ("Running", "Pending")
    one = states(state.state_details.flow_run_id)[ONE.label]
    with get_client(sync_client=True) as client:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            found = client.read_logs(LogFilter(task_run_id=LogFilterTaskRunId(any_=[one.id])))
            if any("epoch 1 of 2" in log.message for log in found):
                break
            time.sleep(0.5)
    assert any("attempt 1: epoch 1 of 2, 2 s an epoch" in log.message for log in found), [f.message for f in found]


def test_many_runs_are_shown_by_network_and_learning_rate():
    from flows.watch import SINGLE_RUNS, groups

    runs = study("table-3", 5).experiments
    assert len(runs) > SINGLE_RUNS
    found = groups(runs)
    assert len(found) == 12 * 4
    assert found["All-CNN-C, cifar10, learning rate 0.05: 5 runs"] == [
        e.id for e in runs if e.network.name == "all-cnn-c" and e.recipe.lr == 0.05
    ]
