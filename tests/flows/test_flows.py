"""The flow `train` with a fleet of our own making: every run gets the state that the store gives it."""

import threading
from types import SimpleNamespace

import pytest

from pipeline.errors import UserError
from pipeline.plan.studies import study
from pipeline.store.objects import DatasetFolder, RunFolder, StudyFolder, open_store
from pipeline.training import leases

ONE, TWO = study("smoke").experiments


@pytest.fixture(scope="module")
def harness():
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def fleet(monkeypatch):
    """Stands in for Ray: calls what a test sets as `work` with the experiments and the store."""
    fake = SimpleNamespace(work=None, stopped=0)

    class Fleet:
        def __init__(self, experiments, store_url, _workers):
            self.order = experiments, open_store(store_url)

        def wait(self):
            fake.work(*self.order)

        def stop(self):
            fake.stopped += 1

    monkeypatch.setattr("flows.train.Fleet", Fleet)
    return fake


@pytest.fixture
def request_(tmp_path):
    from flows.parameters import TrainRequest

    return TrainRequest(study="smoke", store=str(tmp_path))


def done(store, experiment, **more):
    result = {"outcome": "done", "attempt": 1, "epochs": 2, "wrong": 3, "seen": 355, "seconds": 1.0, **more}
    store.write_json(RunFolder(experiment.id).result, result)


@pytest.mark.prefect
def test_every_run_is_a_task_run_with_the_state_of_its_outcome(harness, fleet, request_):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter

    from flows.train import train

    def work(experiments, store):
        assert [e.id for e in experiments] == [TWO.id, ONE.id]  # the longest first
        done(store, ONE)
        leases.record_crash(store, TWO, 3, ["no memory"])

    fleet.work = work
    state = train(request_, return_state=True)
    assert state.is_completed()
    assert state.result() == {ONE.id: "done", TWO.id: "crashed"}
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [state.state_details.flow_run_id]}))
    states = {run.name: (run.state.name, run.state.message) for run in runs}
    assert set(states) == {"fleet of smoke", ONE.label, TWO.label}
    assert states[ONE.label] == ("Completed", f"{ONE.id}: 3 wrong of 355")
    assert states[TWO.label][0] == "Crashed"
    assert "no memory" in states[TWO.label][1]
    assert fleet.stopped == 0


@pytest.mark.prefect
def test_a_diverged_run_is_called_so_and_nothing_is_tried_again(harness, fleet, request_):
    from flows.train import train

    calls = []

    def work(experiments, store):
        calls.append(experiments)
        done(store, ONE)
        done(store, TWO, outcome="diverged")

    fleet.work = work
    assert train(request_) == {ONE.id: "done", TWO.id: "diverged"}
    assert train(request_) == {ONE.id: "done", TWO.id: "diverged"}
    assert len(calls) == 1


@pytest.mark.prefect
def test_a_fleet_that_fails_fails_the_flow_and_lets_go_of_its_runs(harness, fleet, request_):
    from flows.train import train

    def work(_experiments, _store):
        raise ConnectionError("no such cluster")

    fleet.work = work
    with pytest.raises(ConnectionError, match="no such cluster"):
        train(request_)
    assert fleet.stopped == 0


@pytest.mark.prefect
def test_an_interrupted_flow_stops_its_fleet(harness, fleet, request_, monkeypatch):
    import flows.train

    begun = threading.Event()
    fleet.work = lambda *_: begun.set()

    def interrupted(*_, **__):
        begun.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(flows.train, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        flows.train.train(request_)
    assert fleet.stopped == 1


@pytest.fixture
def renderers(monkeypatch):
    """Stands in for the cluster, which would be asked however small the work is: calls what a test sets as `draw`."""
    from pipeline.visualization import render
    from pipeline.visualization.upload import Rate

    fake = SimpleNamespace(draw=lambda: Rate(9, 3, 1.0, 2.0), asked=[], stopped=0)

    class Rendering:
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
    """A request about one finished run and one that diverged, whose data set is prepared."""
    from flows.parameters import ExplainRequest

    store = open_store(str(tmp_path))
    done(store, ONE, digests={"model": "1", "dataset": "2"})
    done(store, TWO, outcome="diverged", digests={})
    store.write_json(DatasetFolder(ONE.dataset, ONE.recipe.preprocess).manifest, {})
    return ExplainRequest(study="smoke", store=str(tmp_path), images="0:20", workers=3)


@pytest.mark.prefect
def test_much_to_draw_goes_to_the_cluster_and_the_page_is_hung(harness, renderers, to_explain):
    from flows.explain import explain

    page = explain(to_explain)
    [(work, url, workers)] = renderers.asked
    assert [(e.id, [p.images for p in pictures if p.kind == "maps"]) for e, pictures in work] == [
        (ONE.id, [tuple(range(20))] * 4)
    ]
    assert (url, workers, renderers.stopped) == (to_explain.opened().url, 3, 0)
    assert to_explain.opened().exists(page)


@pytest.mark.prefect
def test_a_run_that_cannot_be_drawn_fails_the_flow_after_the_others(harness, to_explain, monkeypatch):
    from flows.explain import explain
    from pipeline.visualization.upload import Rate

    store, drawn = to_explain.opened(), []
    done(store, TWO, digests={"model": "3", "dataset": "2"})

    def render_here(_store, work):
        [(experiment, _)] = work
        if experiment == ONE:
            raise ValueError("its weights are damaged")
        drawn.append(experiment)
        return Rate(1, 1, 1.0, 1.0)

    monkeypatch.setattr("flows.explain.render_here", render_here)
    with pytest.raises(ValueError, match="its weights are damaged"):
        explain(to_explain)
    assert drawn == [TWO]
    assert store.exists(StudyFolder("smoke").gallery)


@pytest.mark.prefect
def test_drawing_that_is_interrupted_stops_the_cluster(harness, renderers, to_explain):
    from flows.explain import explain

    def interrupted():
        raise KeyboardInterrupt

    renderers.draw = interrupted
    with pytest.raises(KeyboardInterrupt):
        explain(to_explain)
    assert renderers.stopped == 1


@pytest.mark.prefect
def test_drawing_here_that_is_interrupted_is_over(harness, to_explain, monkeypatch):
    from flows.explain import explain

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.explain.render_here", interrupted)
    with pytest.raises(KeyboardInterrupt):
        explain(to_explain)
    assert not to_explain.opened().exists(StudyFolder("smoke").gallery)


@pytest.mark.parametrize("field", [{"images": "0:9999"}, {"methods": ["guidde"]}, {"layers": ["conv99"]}, {"top": 0}])
def test_a_request_that_cannot_be_drawn_is_refused_when_it_is_made(field):
    from pydantic import ValidationError

    from flows.parameters import ExplainRequest, ReproduceRequest

    for kind in (ExplainRequest, ReproduceRequest):
        with pytest.raises(ValidationError):
            kind(study="smoke", **field)


def test_the_form_of_every_deployment_has_enums_of_two_and_descriptions():
    from flows.deployments import deployments

    for deployment in deployments():
        schema = deployment._parameter_openapi_schema.model_dump()
        model = schema["definitions"][schema["properties"]["request"]["$ref"].split("/")[-1]]
        assert all(field.get("description") for field in model["properties"].values())
        assert len(schema["definitions"]["StudyName"]["enum"]) >= 2


def test_reproduce_is_scheduled_weekly_and_paused():
    from flows.deployments import deployments

    [reproduce] = [d for d in deployments() if d.name == "reproduce"]
    [schedule] = reproduce.schedules
    assert schedule.active is False
    assert schedule.schedule.cron.split()[-1] == "6"


@pytest.mark.prefect
def test_data_that_is_not_whole_is_refused_before_anything_is_trained(harness, tmp_path):
    from flows.parameters import PrepareRequest
    from flows.prepare import prepare

    (tmp_path / "data" / "cifar-100-python").mkdir(parents=True)
    request = PrepareRequest(study="cifar-100", store=str(tmp_path / "store"), data_dir=str(tmp_path / "data"))
    with pytest.raises(UserError, match="cifar-100-python/train"):
        prepare(request)
    assert open_store(request.store).names("") == []


@pytest.mark.prefect
def test_news_of_preparing_are_in_the_store_until_it_is_prepared(harness, tmp_path, monkeypatch):
    from flows.cli.progress_display import Display, console
    from flows.parameters import PrepareRequest
    from flows.prepare import prepare

    heard = []

    def make(store, dataset, how, data_dir, show):
        assert data_dir == str(tmp_path)
        show("file: 3 of 170 MB")
        heard.append(Display(store, study("smoke"), 1, console())._stage(standings=[NOTHING]))
        return "made"

    monkeypatch.setattr("pipeline.data.prepare.make", make)
    assert prepare(PrepareRequest(study="smoke", store=str(tmp_path / "store"), data_dir=str(tmp_path))) == ["made"]
    assert heard == ["preparing the data: file: 3 of 170 MB"]
    assert open_store(str(tmp_path / "store")).names("") == []


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
