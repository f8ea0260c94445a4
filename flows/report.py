"""Flow `report`: a study's tables, curves and pictures -> its page, and the list of all that can be pulled."""

import base64

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.parameters import Request
from pipeline.runs import pull
from pipeline.runs.report import page
from pipeline.runs.report.plots import Plot
from pipeline.runs.settings import settings
from pipeline.runs.store import StudyFolder
from pipeline.runs.tables import editions
from pipeline.runs.tables import frames as tables
from pipeline.runs.tables.results import collect


@flow(name="report", flow_run_name="report {request.study.value}", persist_result=False)
def report(request: Request) -> str:
    """Make the study's page from what the store holds; returns its address."""
    store, study = request.opened(), request.planned()
    folder, results = StudyFolder(study.name), collect(store, study.wanted)
    made = tables.make(study, results, settings().price)
    html, plots = page.make(store, study, made, results, editions.publish(store, study, made))
    store.write(folder.report, html)
    pull.write_list(store, study.name, results)
    pictures = "\n\n".join(_picture(plot) for plot in plots)
    where = store.where(folder.report)
    create_markdown_artifact(f"The page: `{where}`\n\n{pictures}", key=f"{study.name}-report")
    return where


def _picture(plot: Plot) -> str:
    """As Markdown that needs no address, for the UI shows pictures by address alone."""
    data = base64.b64encode(plot.alone().encode()).decode()
    return f"## {plot.title}\n\n![{plot.alt}](data:image/svg+xml;base64,{data})"
