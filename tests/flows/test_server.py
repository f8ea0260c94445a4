"""A real Prefect server: deployments are served, one is triggered through its API, and completes."""

import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pandas as pd
import psutil
import pytest
from support.browser import CHROMIUM, Page, browser
from support.postgres import programs
from support.prefect_server import PASSWORD, PREFECT, Server, ended, orphaned, prefect_server, sent, serving
from support.prefect_ui import click, click_until, log_in, open_menu, shows, will_show
from support.webhook import webhook

from pipeline.plan.studies import STUDIES

pytestmark = pytest.mark.prefect
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def server(request):
    if request.param == "postgres" and not programs():
        pytest.skip("PostgreSQL is not installed")
    with webhook() as (address, told), prefect_server(on_postgres=request.param == "postgres") as running:
        yield replace(running, env=running.env | {"STRIVE_WEBHOOK": address}, told=told)


@pytest.fixture(scope="module")
def served(server):
    """The API while `strive serve` runs beside it, started a second time after a user changed things."""
    with server.api() as api:
        with serving(server):
            of_a_user(api)
        orphaned(api)
        with serving(server):
            yield api


CHANGED = {"schedule": {"cron": "30 4 * * 1", "timezone": "Europe/Berlin"}, "active": True}


def of_a_user(api: httpx.Client) -> None:
    """Change what belongs to the user: schedule, switch, parameters, tags, an automation."""
    there = api.get("/deployments/name/reproduce/reproduce").json()
    [weekly] = there["schedules"]
    assert not weekly["active"]
    path = f"/deployments/{there['id']}"
    sent(api, "PATCH", f"{path}/schedules/{weekly['id']}", CHANGED)
    parameters = there["parameters"] | {"study": "smoke", "seeds": 3}
    sent(api, "PATCH", path, {"parameters": parameters, "tags": ["strive", "mine"], "paused": True})
    for automation in api.post("/automations/filter", json={}).json():
        sent(api, "PATCH", f"/automations/{automation['id']}", {"enabled": False})


def test_what_a_user_changed_stays_when_serve_starts_again(served):
    there = served.get("/deployments/name/reproduce/reproduce").json()
    [weekly] = there["schedules"]
    assert {"cron": weekly["schedule"]["cron"], "timezone": weekly["schedule"]["timezone"]} == CHANGED["schedule"]
    assert weekly["active"]
    assert there["paused"]
    assert there["tags"] == ["strive", "mine"]
    assert (there["parameters"]["study"], there["parameters"]["seeds"]) == ("smoke", 3)
    automations = served.post("/automations/filter", json={}).json()
    assert [automation["enabled"] for automation in automations] == [False] * 4
    sent(served, "PATCH", f"/deployments/{there['id']}", {"paused": False})


def test_a_study_has_a_limit_of_one(served):
    limits = served.post("/v2/concurrency_limits/filter", json={"limit": 200}).json()
    assert {limit["name"]: limit["limit"] for limit in limits} == {f"study {name}": 1 for name in STUDIES}


def test_an_active_schedule_makes_a_run_that_completes(served, tmp_path):
    publish = served.get("/deployments/name/publish/publish").json()["id"]
    for seconds in (15, 60, 120):  # a slow scheduler finds the time past, and the next an hour away
        schedule = made_schedule(served, publish, str(tmp_path), seconds)
        run = scheduled(served, publish)
        if run:
            break
        sent(served, "DELETE", f"/deployments/{publish}/schedules/{schedule}")
    assert run, "the scheduler made no run"
    assert run["auto_scheduled"]
    assert ended(served, run["id"])["type"] == "COMPLETED"
    assert (tmp_path / "studies/smoke/table.md").exists()
    sent(served, "DELETE", f"/deployments/{publish}/schedules/{schedule}")


def made_schedule(api: httpx.Client, deployment: str, store: str, seconds: float) -> str:
    """An hourly schedule of the study smoke, which is due for the first time in so many seconds."""
    parameters = {"study": "smoke", "store": store}
    hourly = {"interval": 3600, "anchor_date": ago(3600 - seconds)}
    body = [{"schedule": hourly, "active": True, "parameters": parameters}]
    return sent(api, "POST", f"/deployments/{deployment}/schedules", body).json()[0]["id"]


def scheduled(api: httpx.Client, deployment: str) -> dict | None:
    """The first run that the scheduler makes, unless it is due in more than ten minutes."""
    of_this = {"deployments": {"id": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
    until = time.monotonic() + 120
    while not (runs := api.post("/flow_runs/filter", json=of_this).json()):
        assert time.monotonic() < until, "the scheduler made no run"
        time.sleep(1)
    return runs[0] if runs[0]["expected_start_time"] < ago(-600) else None


@pytest.mark.ci
def test_a_flow_run_that_fails_is_told_to_the_webhook(served, server: Server):
    [news] = [a for a in served.post("/automations/filter", json={}).json() if "webhook" in a["name"]]
    sent(served, "PATCH", f"/automations/{news['id']}", {"enabled": True})
    time.sleep(2)  # until the server's triggers know of it
    publish = served.get("/deployments/name/publish/publish").json()["id"]
    wrong = {"parameters": {"study": "smoke", "store": "/proc/nowhere"}, "name": "without a store"}
    run = sent(served, "POST", f"/deployments/{publish}/create_flow_run", wrong).json()["id"]
    assert ended(served, run)["type"] == "FAILED"
    told, until = server.told, time.monotonic() + 60
    while not told:
        assert time.monotonic() < until, "the webhook was not called"
        time.sleep(0.5)
    assert (told[0]["flow_run"], told[0]["state"]) == (run, "Failed")
    assert told[0]["text"].startswith("without a store is Failed: ")
    assert "/proc/nowhere" in told[0]["text"]
    assert len(told) == 1


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


@pytest.fixture(scope="module")
def completed(served, reproduced) -> tuple[str, Path]:
    """A flow run that was started through the API and has completed, and the folder of its store."""
    store, _ = reproduced
    (store / "studies/smoke/table.md").unlink()
    reproduce = served.get("/deployments/name/reproduce/reproduce").json()["id"]
    parameters = {"parameters": {"study": "smoke", "seeds": 1, "store": str(store)}}
    run = sent(served, "POST", f"/deployments/{reproduce}/create_flow_run", parameters).json()["id"]
    state = ended(served, run)
    assert state["type"] == "COMPLETED", state
    assert served.get(f"/flow_runs/{run}").json()["labels"]["strive.runner.beat"] > 0  # its runner has shown life
    return run, store


def test_runs_of_a_runner_that_died_are_crashed_with_their_subflows_and_tasks(served):
    """`served` makes the orphan."""
    [orphan] = served.post("/flow_runs/filter", json={"flow_runs": {"name": {"any_": ["orphan"]}}}).json()
    state = ended(served, orphan["id"])
    assert state["type"] == "CRASHED"
    assert state["message"].startswith("Its runner shows no sign of life any more")
    for kind in ("flow_runs", "task_runs"):
        [below] = served.post(f"/{kind}/filter", json={kind: {"name": {"any_": ["the orphan's"]}}}).json()
        assert below["state"]["type"] == "CRASHED", kind


def test_five_flows_are_served_and_check_their_parameters(served):
    deployments = {d["name"]: d for d in served.post("/deployments/filter", json={}).json()}
    assert set(deployments) == {"prepare", "train", "explain", "publish", "reproduce"}
    path = f"/deployments/{deployments['reproduce']['id']}/create_flow_run"
    bad = served.post(path, json={"parameters": {"study": "digist"}})
    assert bad.status_code == 409


def test_the_run_that_was_started_shows_table_plots_and_verdict(served, completed):
    run, store = completed
    assert (store / "studies/smoke/table.md").exists()
    of_run = {"flow_runs": {"id": {"any_": [run]}}}
    artifacts = served.post("/artifacts/filter", json=of_run).json()
    assert {"smoke-table", "smoke-results", "smoke-report"} <= {a["key"] for a in artifacts}
    of_run, until = {"logs": {"flow_run_id": {"any_": [run]}}}, time.monotonic() + 20
    while not any(
        line["message"].startswith("Published: 2 of 2 networks learned")
        for line in served.post("/logs/filter", json=of_run).json()
    ):
        assert time.monotonic() < until  # logs are sent in batches, every few seconds
        time.sleep(0.5)


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")
def test_a_person_starts_watches_and_cancels_a_study_in_a_browser(served, server: Server, completed, tmp_path):
    with browser() as page:
        log_in(page, server.url, "strive:wrong")
        shows(page, "Invalid credentials")
        log_in(page, server.url, PASSWORD)
        _start(page, str(tmp_path))
        will_show(page, "Training: 0 % of all epochs, 0 of 36 runs ended", 150)
        click(page, "Artifacts")
        shows(page, "digits-progress")
        fleet = [one for one in server.processes() if "pipeline.training.fleet" in one.cmdline()]
        open_menu(page)
        click(page, "Cancel")
        click_until(page, "Cancel Flow Run", "!document.body.innerText.includes('Are you sure')")
        shows(page, "Cancelled", 60)
        page.open(f"{server.url}/v2/runs/flow-run/{completed[0]}?tab=Artifacts")
        shows(page, "smoke-table")
        of_key = {"artifacts": {"key": {"any_": ["smoke-table"]}}}
        [table] = served.post("/artifacts/latest/filter", json=of_key).json()
        page.open(f"{server.url}/v2/artifacts/artifact/{table['latest_id']}")
        shows(page, "All-CNN-C")
        errors = pd.read_parquet(completed[1] / "studies/smoke/table.parquet").set_index("network")["error"]
        shows(page, f"{errors['all-cnn-c']:.2f}")
    [run] = served.post("/flow_runs/filter", json={"flow_runs": {"name": {"any_": ["seen in a browser"]}}}).json()
    assert run["parameters"]["store"] == str(tmp_path)
    assert ended(served, run["id"])["type"] == "CANCELLED"
    of_study = {"flow_runs": {"tags": {"all_": ["digits"]}}}
    ends = {one["state"]["type"] for one in served.post("/task_runs/filter", json=of_study).json()}
    assert ends == {"COMPLETED", "CANCELLED"}
    _, alive = psutil.wait_procs([one for one in fleet if one.is_running()], timeout=20)
    assert fleet
    assert not alive


def _start(page: Page, store: str) -> None:
    """Fill the form of `reproduce`, once with a number that it refuses, and open the page of the run."""
    click(page, "Deployments")
    click(page, "reproduce", kinds="a[href*='/deployments/deployment/']")
    click(page, "Run")
    click(page, "Custom run")
    page.wait("!!document.querySelector('input[name=name]')")
    page.fill("document.querySelector('input[name=name]')", "seen in a browser")
    click(page, "smoke")  # which a user made the usual one
    click(page, "digits", kinds="[role=option]")
    click(page, "str", below="Store (Optional)")
    page.wait("!!document.querySelector('textarea')")
    page.fill("document.querySelector('textarea')", store)
    images = "[...document.querySelectorAll('input[type=number]')].find(e => ['10', '0'].includes(e.value))"
    page.fill(images, "0")
    click(page, "Submit")
    page.wait(f"{images}.validationMessage.includes('greater than or equal to 1')")
    page.fill(images, "5")
    click_until(page, "Submit", "document.body.innerText.includes('View run')")
    click(page, "View run")


@pytest.mark.ci
def test_prefect_deploy_keeps_what_a_user_changed(served, server):
    """The last test here: it moves the deployments to a work pool."""
    pool = [PREFECT, "work-pool", "create", "strive", "--type", "process", "--overwrite"]
    before = served.get("/deployments/name/reproduce/reproduce").json() | {"paused": True}
    sent(served, "PATCH", f"/deployments/{before['id']}", {"paused": True})
    for command in (pool, [PREFECT, "--no-prompt", "deploy", "--all"]):
        done = subprocess.run(command, env=server.env, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    after = served.get("/deployments/name/reproduce/reproduce").json()
    assert after["work_pool_name"] == "strive"
    for name in ("schedules", "parameters", "paused", "tags"):
        assert after[name] == before[name], name
