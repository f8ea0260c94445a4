"""Flow `reproduce`: data, training, pictures, tables and page."""

from typing import TypeVar

from prefect import flow

from flows.explain import explain
from flows.parameters import ExplainRequest, PrepareRequest, ReproduceRequest, Request, TrainRequest
from flows.prepare import prepare
from flows.publish import publish
from flows.train import train

R = TypeVar("R", bound=Request)


@flow(name="reproduce", flow_run_name="reproduce {request.study.value}", persist_result=False)
def reproduce(request: ReproduceRequest) -> str:
    """Everything of a study that the store does not hold yet; returns the table as Markdown."""
    prepare(_as(PrepareRequest, request))
    train(_as(TrainRequest, request))
    pictures = explain(_as(ExplainRequest, request), return_state=True)
    table = publish(_as(Request, request))
    pictures.result()  # raises what drawing failed with, now that the tables are there
    return table


def _as(kind: type[R], request: ReproduceRequest) -> R:
    return kind(**request.model_dump(include=set(kind.model_fields)))
