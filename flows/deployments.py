"""The deployments: what the Prefect UI offers, with their schedules."""

from prefect import Flow, serve
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Schedule

from flows.explain import explain
from flows.parameters import ExplainRequest, PrepareRequest, ReproduceRequest, Request, TrainRequest
from flows.prepare import prepare
from flows.publish import publish
from flows.reproduce import reproduce
from flows.train import train

WEEKLY = "0 3 * * 6"  # Saturdays at three in the morning, UTC
HEAD = """\
# Written by `python -m flows.deployments > prefect.yaml`.
# For a work pool instead of `strive serve`: `prefect work-pool create strive --type process`, `prefect deploy --all`,
# `prefect worker start --pool strive`. Either way the deployment has the same name: use one of the two.
"""


def deployments() -> list[RunnerDeployment]:
    """One deployment a flow; `reproduce` has a weekly schedule, which is paused until it is switched on."""
    weekly = Cron(WEEKLY, timezone="UTC", active=False)
    every = [
        (prepare, PrepareRequest()),
        (train, TrainRequest()),
        (publish, Request()),
        (explain, ExplainRequest()),
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


def prefect_yaml() -> str:
    """The file prefect.yaml: the deployment of `reproduce` for a work pool."""
    import yaml  # a dependency of Prefect's

    [deployment] = [d for d in deployments() if d.name == "reproduce"]
    [weekly] = deployment.schedules or []
    plan = weekly.schedule
    assert isinstance(plan, CronSchedule)
    entry = {
        "name": deployment.name,
        "description": deployment.description,
        "entrypoint": deployment.entrypoint,
        "parameters": deployment.parameters,
        "schedules": [{"cron": plan.cron, "timezone": plan.timezone, "active": weekly.active}],
        "work_pool": {"name": "strive"},
    }
    return HEAD + yaml.safe_dump({"name": "strive", "deployments": [entry]}, sort_keys=False, width=110)


if __name__ == "__main__":
    print(prefect_yaml(), end="")
