"""The deployments: what the Prefect UI offers, with their schedules.

A deployment belongs to the user once it is there: its schedules, parameters, tags and switch are never written again.
What follows from the code is: where the flow lies, its form, its description.
"""

import asyncio
import atexit
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.schedules import Cron

from flows import automations
from flows.explain import explain
from flows.hosted import TAG, limit_name
from flows.parameters import StudiesText, studies_text
from flows.prepare import prepare
from flows.publish import publish
from flows.reproduce import reproduce
from flows.runner import PatientRunner
from flows.train import train
from pipeline.errors import UserError
from pipeline.plan.studies import every_study

FLOWS: dict[str, Flow[..., Any]] = {
    "reproduce": reproduce,
    "prepare": prepare,
    "train": train,  # pyright: ignore[reportAssignmentType]  # as in flows/train.py
    "publish": publish,
    "explain": explain,
}
WEEKLY = "0 3 * * 6"  # Saturdays at three in the morning, UTC
AT_ONCE = 4  # flow runs of one runner
HEAD = """\
# Written by `python -m flows.deployments > prefect.yaml`.
# For a work pool instead of `strive serve`: `prefect work-pool create strive --type process`, `prefect deploy --all`,
# `prefect worker start --pool strive`. Either way the deployments have the same names: use one of the two.
# Deploying again keeps schedules, parameters and the switch as they are on the server.
"""


def deployment(name: str, studies: StudiesText) -> RunnerDeployment:
    """The flow's deployment, which lists `studies`; `reproduce` has a weekly schedule, off until it is switched on."""
    flow = FLOWS[name]
    weekly = {"replicate": 1}  # a schedule that finds everything done would notice nothing
    schedule = Cron(WEEKLY, timezone="UTC", active=False, parameters=weekly) if name == "reproduce" else None
    made = flow.to_deployment(name, schedule=schedule, tags=[TAG])
    assert isinstance(made, RunnerDeployment)  # inside an event loop it would be a coroutine
    made.description = _description(flow, studies)
    made.parameters = _defaults(flow)
    form = made._parameter_openapi_schema
    form.required = _filled(flow)
    form.properties["study"]["description"] = studies.help
    return made


def _description(flow: Flow, studies: StudiesText) -> str:
    """What the flow makes and where it lies, then what the studies are and cost."""
    return f"{' '.join((flow.description or '').split())}\n\n{studies.table}"


def _defaults(flow: Flow) -> dict[str, Any]:
    """What the form shows before anything is changed."""
    return {name: field["default"] for name, field in flow.parameters.properties.items()}


def _filled(flow: Flow) -> list[str]:
    """The fields that may not be emptied; the form calls every other one optional."""
    return [name for name, default in _defaults(flow).items() if default is not None]


def register(client: SyncPrefectClient, pool: str | None = None) -> dict[str, DeploymentResponse]:
    """Make the deployments and the limits that the server lacks, and bring those it has up to this code."""
    for study in every_study():
        try:
            client.read_global_concurrency_limit_by_name(limit_name(study))
        except ObjectNotFound:
            _create_limit(client, limit_name(study))
    studies = studies_text()
    return {name: _registered(client, name, pool, studies) for name in FLOWS}


def _create_limit(client: SyncPrefectClient, name: str) -> None:
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

    with suppress(ObjectAlreadyExists):  # another runner that starts beside this one was quicker
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))


def _registered(client: SyncPrefectClient, name: str, pool: str | None, studies: StudiesText) -> DeploymentResponse:
    made, full_name = deployment(name, studies), f"{name}/{name}"
    try:
        there = client.read_deployment_by_name(full_name)
    except ObjectNotFound:
        made.apply(work_pool_name=pool)
        return client.read_deployment_by_name(full_name)
    change: dict[str, Any] = {
        "description": made.description,
        "entrypoint": made.entrypoint,
        "path": made._path,
        "version": made.version,
        "parameter_openapi_schema": made._parameter_openapi_schema.model_dump(exclude_unset=True),
    }
    if (fitting := _fitting(made, there.parameters)) != there.parameters:
        change["parameters"] = fitting
    if pool != there.work_pool_name:
        change["work_pool_name"] = pool
    client.update_deployment(there.id, DeploymentUpdate(**change))
    return there


def _fitting(made: RunnerDeployment, kept: dict[str, Any]) -> dict[str, Any]:
    """The user's parameters as far as the form still has them; forms were nested in one field once."""
    flat = {**kept.get("request", {}), **kept}
    return made.parameters | {name: value for name, value in flat.items() if name in made.parameters}


def keep(pool: str, name: str) -> dict[str, Any]:
    """A step of `prefect deploy`: makes the deployment if it is not there; returns what belongs to the user."""
    with get_client(sync_client=True) as client:
        automations.apply(client, os.environ.get("STRIVE_WEBHOOK"))
        _registered(client, name, pool, studies_text())
        now = client.read_deployment_by_name(f"{name}/{name}")
    if now.paused:  # `prefect deploy` switches on what it deploys, and its field for that takes no template
        atexit.register(_switch_off, name, now.id)
    return {"parameters": now.parameters, "tags": now.tags}


def _switch_off(name: str, id: UUID) -> None:
    try:
        with get_client(sync_client=True) as client:
            client.update_deployment(id, DeploymentUpdate(paused=True))
    except Exception as error:  # whatever Prefect's client makes of a server that is away
        said = f"{name} was switched off, and `prefect deploy` has switched it on: switch it off in the UI"
        print(f"strive: {said} ({type(error).__name__})", file=sys.stderr)


def registered() -> dict[str, DeploymentResponse]:
    """All deployments, made on the server or brought up to this code; UserError where it does not take them."""
    try:
        with get_client(sync_client=True) as client:
            made = register(client)
            automations.apply(client, os.environ.get("STRIVE_WEBHOOK"))
    except (DeploymentApplyError, httpx.HTTPError) as error:
        said, _, _ = " ".join(str(error).split()).partition(" - ")  # its details follow, and a link
        raise UserError(
            f"the Prefect server does not take the deployments: {said or type(error).__name__}. Look into its log, "
            "then run the same command again"
        ) from error
    return made


def serve_all(deployed: Mapping[str, DeploymentResponse]) -> None:
    """Run what is triggered of these, until stopped."""
    runner = PatientRunner(
        limit=AT_ONCE, pause_on_shutdown=False, heartbeat_seconds=automations.HEARTBEAT_SECONDS, query_seconds=5
    )
    for name, there in deployed.items():
        runner._deployment_registry.register_deployment(there.id, name)
    print(f"Serving {', '.join(deployed)}; stop with Ctrl-C.", flush=True)
    asyncio.run(runner.start())


def prefect_yaml() -> str:
    """The file prefect.yaml: the deployments for a work pool."""
    import yaml  # a dependency of Prefect's

    studies = studies_text()
    entries = [
        {
            "name": name,
            "description": _description(flow, studies),
            "entrypoint": deployment(name, studies).entrypoint,
            "build": [{"flows.deployments.keep": {"id": "kept", "pool": "strive", "name": name}}],
            "parameters": {field: f"{{{{ kept.parameters.{field} }}}}" for field in _defaults(flow)},
            "tags": "{{ kept.tags }}",
            "work_pool": {"name": "strive"},
        }
        for name, flow in FLOWS.items()
    ]
    return HEAD + yaml.safe_dump({"name": "strive", "deployments": entries}, sort_keys=False, width=110)


if __name__ == "__main__":
    print(prefect_yaml(), end="")
