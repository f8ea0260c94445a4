"""Flow `reproduce`: data, training, tables, pictures, the page."""

from typing import TypeVar

from prefect import flow

from flows.explain import explain
from flows.parameters import ExplainRequest, PrepareRequest, ReproduceRequest, Request, TrainRequest
from flows.prepare import prepare
from flows.publish import publish
from flows.report import report
from flows.train import train

R = TypeVar("R", bound=Request)


@flow(name="reproduce", flow_run_name="reproduce {request.study.value}", persist_result=False)
def reproduce(request: ReproduceRequest) -> str:
    """Everything of a study that the store does not hold yet; returns the table as Markdown."""
    prepare(_as(PrepareRequest, request))
    train(_as(TrainRequest, request))
    table = publish(_as(Request, request))
    explain(_as(ExplainRequest, request))
    report(_as(Request, request))
    return table


def _as(kind: type[R], request: ReproduceRequest) -> R:
    return kind(**request.model_dump(include=set(kind.model_fields)))
