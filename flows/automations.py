"""Automations of the Prefect server: flow runs whose process died get a final state, and a webhook hears of failures.

They belong to the user once they are there: what exists is left as it is, switched off or changed.
"""

from datetime import timedelta
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from flows.hosted import TAG

HEARTBEAT_SECONDS = 30  # the least that Prefect allows
SILENCE = timedelta(seconds=100)  # three heartbeats missed
START = timedelta(seconds=150)  # from a run's submission to its first state of its own
CANCEL = timedelta(seconds=120)
NEWS = ("Failed", "Crashed", "TimedOut", "Drifted")  # what the webhook hears of
FINAL = ("Completed", "Cancelled", "Cached", "Rolledback", *NEWS)
WEBHOOK = "strive-webhook"
PAYLOAD = (
    '{"text": {{ (flow_run.name ~ " is " ~ flow_run.state.name ~ ": " ~ (flow_run.state.message or "")) | tojson }}, '
    '"flow_run": "{{ flow_run.id }}", "name": {{ flow_run.name | tojson }}, "state": "{{ flow_run.state.name }}"}'
)


def _events(*names: str) -> set[str]:
    return {f"prefect.flow-run.{name}" for name in names}


def _silent(name: str, after: set[str], expect: set[str], within: timedelta, action: ChangeFlowRunState, about: str):
    """An automation about a flow run of which nothing is heard for a while."""
    return AutomationCore(
        name=name,
        description=about,
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}
            ),
            after=after,
            expect=expect,
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=[action],
    )


def guards() -> list[AutomationCore]:
    """What gives flow runs a final state whose process is gone."""
    crashed, cancelled = StateType.CRASHED, StateType.CANCELLED
    return [
        _silent(
            "strive: a run that fell silent",
            _events("heartbeat"),
            _events("heartbeat", *FINAL),
            SILENCE,
            ChangeFlowRunState(
                state=crashed,
                message="Its process has sent no heartbeat for 100 seconds: it, its host or its container died. Run it "
                "again: it goes on from the last checkpoints.",
                name=None,
                force=False,
            ),
            "A run whose process died is Crashed within three minutes.",
        ),
        _silent(
            "strive: a run that never began",
            _events("Pending", "Submitting"),
            _events("Running", "Cancelling", "Scheduled", "AwaitingConcurrencySlot", "AwaitingRetry", *FINAL),
            START,
            ChangeFlowRunState(
                state=crashed,
                message="Its process did not begin within 150 seconds: the runner died. Run it again.",
                name=None,
                force=False,
            ),
            "A run that was submitted to a runner that died is Crashed within three minutes.",
        ),
        _silent(
            "strive: a cancelled run that does not answer",
            _events("Cancelling"),
            _events(*FINAL),
            CANCEL,
            ChangeFlowRunState(
                state=cancelled,
                message="Its process did not answer within 120 seconds: it had died, or dies with its runner. What was "
                "trained is kept.",
                name=None,
                force=True,
            ),
            "A run that was to be cancelled and whose process is gone is Cancelled.",
        ),
    ]


def news(webhook: UUID) -> AutomationCore:
    """Calls the webhook when a run that was triggered or scheduled failed, crashed or found that results drifted."""
    return AutomationCore(
        name="strive: failures and drift to the webhook",
        description="Posts a line of JSON to the address of STRIVE_WEBHOOK.",
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=[
                ResourceSpecification({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}),
                ResourceSpecification(
                    {"prefect.resource.role": "deployment", "prefect.resource.id": "prefect.deployment.*"}
                ),
            ],
            expect=_events(*NEWS),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(minutes=1),  # a server that is busy may see an event twice
        ),
        actions=[CallWebhook(block_document_id=webhook, payload=PAYLOAD)],
    )


def apply(client: SyncPrefectClient, webhook: str | None) -> None:
    """Make the automations that are not there; the webhook's address is that of the setting."""
    wanted = guards()
    if webhook:
        wanted.append(news(Webhook(url=webhook).save(WEBHOOK, overwrite=True)))  # pyright: ignore
    there = {automation.name for automation in client.read_automations()}
    for automation in wanted:
        if automation.name not in there:
            client.create_automation(automation)
