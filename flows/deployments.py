"""The deployments: what the Prefect UI offers, with their schedules."""

from prefect import Flow, serve
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Schedule

from flows.explain import explain
from flows.parameters import ExplainRequest, PrepareRequest, ReproduceRequest, Request, TrainRequest
from flows.prepare import prepare
from flows.publish import publish
from flows.report import report
from flows.reproduce import reproduce
from flows.train import train

WEEKLY = "0 3 * * 6"  # Saturdays at three, when nobody waits for the machines


def deployments() -> list[RunnerDeployment]:
    """One deployment a flow; `reproduce` is scheduled weekly, and paused until somebody wants it."""
    weekly = Cron(WEEKLY, timezone="UTC", active=False)
    every = [
        (prepare, PrepareRequest()),
        (train, TrainRequest()),
        (publish, Request()),
        (explain, ExplainRequest()),
        (report, Request()),
    ]
    return [
        _deployment(reproduce, ReproduceRequest(), schedule=weekly),
        *(_deployment(flow, request) for flow, request in every),
    ]


def _deployment(flow: Flow, request: Request, schedule: Schedule | None = None) -> RunnerDeployment:
    made = flow.to_deployment(flow.name, parameters={"request": request.model_dump(mode="json")}, schedule=schedule)
    assert isinstance(made, RunnerDeployment)  # inside an event loop it would be a coroutine
    return made


def serve_all() -> None:
    """Register the deployments and run what is triggered, until stopped."""
    serve(*deployments(), limit=4)
