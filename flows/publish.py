"""Flow `publish`: a study's results, verified, and its pictures -> its tables and its page."""

import base64

import pandas as pd
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.hosted import run_name, turn
from flows.parameters import DIGITS, Seeds, StoreUrl, StudyField, opened, planned
from flows.shown import show_markdown, show_table, tell
from pipeline.evaluation import verification
from pipeline.evaluation.headline import headline
from pipeline.evaluation.proofs import to_verify
from pipeline.evaluation.results import collect
from pipeline.plan.studies import Study
from pipeline.publication import display, formats
from pipeline.publication.publish import Published
from pipeline.publication.publish import publish as publish_study
from pipeline.publication.svg import Plot
from pipeline.runtime.settings import settings
from pipeline.store.links import link
from pipeline.store.objects import Store
from pipeline.store.paths import StudyFolder

FIRST = ("network", "augmented", "paper %", "error %", "difference", "verdict")


@task(task_run_name="verify {id}", cache_policy=NO_CACHE)
def verify(id: str, store_url: str) -> None:
    """Evaluate the stored weights again; fails unless they make the errors that the run reported."""
    verification.insist([verification.trouble((store_url, id))])


@task(task_run_name="verify {count} runs of {study}", cache_policy=NO_CACHE)
def verify_on_cluster(study: str, count: int, at_work: verification.Verification) -> None:
    """The same for many runs, on the cluster."""
    verification.insist(at_work.troubles())


@flow(name="publish", flow_run_name=run_name, persist_result=False)
def publish(study: StudyField = DIGITS, seeds: Seeds = None, store: StoreUrl = None) -> str:
    """Evaluates the weights of every finished run again, then makes tables and page. Makes the folder `studies` of the
    store; returns the main table as Markdown."""
    kept = opened(store)
    this = planned(study, seeds, kept)
    with turn(this.name):
        _verify(kept, this)
        published = publish_study(kept, this, settings().price)
        kind, main = next(iter(published.tables.items()))
        _show_table(kept, this, kind, main)
        if "replications" in published.tables:
            _show_replications(this, published.tables["replications"])
        _show_report(kept, this, published)
        told = headline(this, {kind: display.records(table) for kind, table in published.tables.items()})
        tell(f"Published: {told}. Tables, plots and the page: the tab Artifacts, and {published.report}")
        return display.markdown(kind, main)


def _verify(store: Store, study: Study) -> None:
    ids = set(to_verify(store, collect(store, study.read)))
    work = [e for e in study.read if e.id in ids]
    if verification.is_small(work):
        for experiment in work:
            verify(experiment.id, store.url)
        return
    with verification.Verification(work, store.url, settings().workers) as at_work:
        verify_on_cluster(study.name, len(work), at_work)


def _show_table(store: Store, study: Study, kind: str, main: pd.DataFrame) -> None:
    """The main table as artifacts; the UI shows a few columns at once, so those come first that say most."""
    rows = display.readable(kind, main, FIRST).to_dict("records")
    show_table(f"{study.name}-table", rows, study.question)
    table = display.markdown(kind, main, FIRST)
    about = f"the errors of {study.name}, and where its tables lie"
    show_markdown(f"{study.name}-results", f"{table}\n\n{_pulling(store, study.name)}", about)


def _show_replications(study: Study, table: pd.DataFrame) -> None:
    """Whether it still reproduces, the newest first."""
    about = f"does {study.name} still reproduce? Finished runs, trained again from nothing"
    rows = display.readable("replications", table).to_dict("records")
    show_table(f"{study.name}-replications", rows, about)


def _pulling(store: Store, study: str) -> str:
    """Where the tables lie, and the line that reads one from anywhere."""
    where = "\n".join(f"- `{store.url_of(StudyFolder(study).table(ending))}`" for ending in formats.FORMATS)
    return f"```python\nimport pandas as pd\n\n{formats.pandas_line(store, study)}\n```\n\n{where}"


def _show_report(store: Store, study: Study, published: Published) -> None:
    """The page's address, as a link where a browser reaches it, and its plots as an artifact."""
    plots = "\n\n".join(_plot(plot) for plot in published.plots)
    where = link(store, StudyFolder(study.name).report)
    text = f"[The page]({where}): `{published.report}`" if where else f"The page: `{published.report}`"
    show_markdown(f"{study.name}-report", f"{text}\n\n{plots}", study.question)


def _plot(plot: Plot) -> str:
    """As Markdown with the picture in its address, for the UI loads pictures by address alone."""
    data = base64.b64encode(plot.alone().encode()).decode()
    return f"## {plot.title}\n\n![{plot.alt}](data:image/svg+xml;base64,{data})"
