"""Flow `report`: a study's tables, curves and pictures -> its page, and the list of all that can be pulled."""

import base64

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.parameters import Request
from pipeline.publication.plots import Plot
from pipeline.publication.publish import publish
from pipeline.runtime.settings import settings


@flow(name="report", flow_run_name="report {request.study.value}", persist_result=False)
def report(request: Request) -> str:
    """Make the study's page from what the store holds; returns its address."""
    study = request.planned()
    where, plots = publish(request.opened(), study, settings().price)
    pictures = "\n\n".join(_picture(plot) for plot in plots)
    create_markdown_artifact(
        f"The page: `{where}`\n\n{pictures}", key=f"{study.name}-report", description=study.question
    )
    return where


def _picture(plot: Plot) -> str:
    """As Markdown that needs no address, for the UI shows pictures by address alone."""
    data = base64.b64encode(plot.alone().encode()).decode()
    return f"## {plot.title}\n\n![{plot.alt}](data:image/svg+xml;base64,{data})"
