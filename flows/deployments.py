"""The deployments: what the Prefect UI offers, with their schedules."""

from prefect import serve
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron

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
        reproduce.to_deployment(
            "reproduce", parameters={"request": ReproduceRequest().model_dump(mode="json")}, schedule=weekly
        ),
        *(
            flow.to_deployment(flow.name, parameters={"request": request.model_dump(mode="json")})
            for flow, request in every
        ),
    ]


def serve_all() -> None:
    """Register the deployments and run what is triggered, until stopped."""
    serve(*deployments(), limit=4)
