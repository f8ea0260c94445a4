"""The flows `explain` and `prepare` beside clusters of our own making, and how an error of any flow is told."""

import logging
from types import SimpleNamespace

import pytest
from support.finished import done

from pipeline.errors import UserError
from pipeline.plan.studies import study
from pipeline.records.dataset import DatasetManifest
from pipeline.runtime.driver import Driver
from pipeline.store.objects import open_store
from pipeline.store.paths import DatasetFolder, StudyFolder

ONE, TWO = study("smoke").experiments


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


@pytest.mark.prefect
@pytest.mark.parametrize("field", [{"image_numbers": [9999]}, {"layers": ["conv99"]}])
def test_what_this_study_cannot_take_is_refused_before_any_work(harness, tmp_path, field):
    from flows.explain import explain
    from flows.reproduce import reproduce

    for flow in (explain, reproduce):
        with pytest.raises(UserError):
            flow(study="smoke", store=str(tmp_path), **field)
    assert open_store(str(tmp_path)).names("") == []


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
