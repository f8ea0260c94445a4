"""A real Prefect server: deployments are served, one is triggered through its API, and completes."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from support.postgres import postgres, programs
from support.processes import free_port, wait_for

from pipeline.plan.studies import STUDIES

pytestmark = pytest.mark.prefect
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
ROOT = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).with_name("prefect"))


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def server(request):
    """The address of a Prefect server, and the environment of its clients."""
    home, port = Path(tempfile.mkdtemp(prefix="prefect", dir="/tmp")), free_port()
    home.chmod(0o755)  # for the user that PostgreSQL runs as
    url = f"http://127.0.0.1:{port}/api"
    env = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": url}
    with ExitStack() as stack, (home / "server.log").open("wb") as log:
        if request.param == "postgres":
            if not programs():
                pytest.skip("PostgreSQL is not installed")
            env["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = stack.enter_context(postgres(home))
        command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            wait_for(f"{url}/health", 180)
            yield url, env
        finally:
            process.terminate()
            process.wait(30)
    shutil.rmtree(home, ignore_errors=True)


@contextmanager
def serving(env: dict[str, str]):
    """`strive serve`, once it serves."""
    path = Path(env["PREFECT_HOME"], "serve.log")
    with path.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "flows.cli.app", "serve"], env=env, stdout=log, stderr=log)
        try:
            until = time.monotonic() + 120
            while "Serving" not in path.read_text():
                assert process.poll() is None, path.read_text()
                assert time.monotonic() < until
                time.sleep(0.5)
            yield
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def served(server):
    """The API while `strive serve` runs beside it, started a second time after a user changed things."""
    url, env = server
    with httpx.Client(base_url=url, timeout=30) as api:
        with serving(env):
            of_a_user(api)
        with serving(env):
            yield api


CHANGED = {"schedule": {"cron": "30 4 * * 1", "timezone": "Europe/Berlin"}, "active": True}


def patched(api: httpx.Client, path: str, change: dict) -> None:
    """SQLite may be locked for a moment: clients try again."""
    for _ in range(10):
        answer = api.patch(path, json=change)
        if answer.status_code < 500:
            break
        time.sleep(1)
    assert answer.is_success, answer.text


def of_a_user(api: httpx.Client) -> None:
    """Change what belongs to the user: schedule, switch, parameters, tags, an automation."""
    there = api.get("/deployments/name/reproduce/reproduce").json()
    [weekly] = there["schedules"]
    assert not weekly["active"]
    path = f"/deployments/{there['id']}"
    patched(api, f"{path}/schedules/{weekly['id']}", CHANGED)
    parameters = there["parameters"] | {"study": "smoke", "seeds": 3}
    patched(api, path, {"parameters": parameters, "tags": ["strive", "mine"], "paused": True})
    for automation in api.post("/automations/filter", json={}).json():
        patched(api, f"/automations/{automation['id']}", {"enabled": False})


def test_what_a_user_changed_stays_when_serve_starts_again(served):
    there = served.get("/deployments/name/reproduce/reproduce").json()
    [weekly] = there["schedules"]
    assert {"cron": weekly["schedule"]["cron"], "timezone": weekly["schedule"]["timezone"]} == CHANGED["schedule"]
    assert weekly["active"]
    assert there["paused"]
    assert there["tags"] == ["strive", "mine"]
    assert (there["parameters"]["study"], there["parameters"]["seeds"]) == ("smoke", 3)
    automations = served.post("/automations/filter", json={}).json()
    assert [automation["enabled"] for automation in automations] == [False] * 3
    patched(served, f"/deployments/{there['id']}", {"paused": False})


def test_a_study_has_a_limit_of_one(served):
    limits = served.post("/v2/concurrency_limits/filter", json={"limit": 200}).json()
    assert {limit["name"]: limit["limit"] for limit in limits} == {f"study {name}": 1 for name in STUDIES}


def ended(api: httpx.Client, run: str, seconds: float = 180) -> dict:
    """The final state of a flow run."""
    until = time.monotonic() + seconds
    while (state := api.get(f"/flow_runs/{run}").json()["state"])["type"] not in FINAL:
        assert time.monotonic() < until, state
        time.sleep(1)
    return state


def test_an_active_schedule_makes_a_run_that_completes(served, tmp_path):
    publish = served.get("/deployments/name/publish/publish").json()["id"]
    parameters = {"study": "smoke", "store": str(tmp_path)}
    schedule = {"schedule": {"interval": 3600, "anchor_date": ago(3595)}, "active": True, "parameters": parameters}
    made = served.post(f"/deployments/{publish}/schedules", json=[schedule]).json()
    of_this = {"deployments": {"id": {"any_": [publish]}}, "sort": "EXPECTED_START_TIME_ASC"}
    until = time.monotonic() + 120
    while not (runs := served.post("/flow_runs/filter", json=of_this).json()):
        assert time.monotonic() < until, "the scheduler made no run"
        time.sleep(1)
    assert runs[0]["auto_scheduled"]
    assert ended(served, runs[0]["id"])["type"] == "COMPLETED"
    assert (tmp_path / "studies/smoke/table.md").exists()
    served.delete(f"/deployments/{publish}/schedules/{made[0]['id']}")


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def test_a_deployment_is_triggered_with_parameters_and_completes(served, reproduced):
    deployments = {d["name"]: d for d in served.post("/deployments/filter", json={}).json()}
    assert set(deployments) == {"prepare", "train", "explain", "publish", "reproduce"}
    path = f"/deployments/{deployments['reproduce']['id']}/create_flow_run"
    bad = served.post(path, json={"parameters": {"study": "digist"}})
    assert bad.status_code == 409

    store, _ = reproduced
    table = store / "studies/smoke/table.md"
    table.unlink()
    parameters = {"study": "smoke", "store": str(store)}
    for _ in range(5):  # SQLite may be locked for a moment, and clients try again
        answer = served.post(path, json={"parameters": parameters})
        if answer.status_code < 500:
            break
        time.sleep(1)
    assert answer.status_code == 201, answer.text
    run = answer.json()["id"]
    state = ended(served, run)
    assert state["type"] == "COMPLETED", state
    assert table.exists()
    artifacts = served.post("/artifacts/filter", json={}).json()
    assert {"smoke-table", "smoke-results", "smoke-report"} <= {a["key"] for a in artifacts}


def test_prefect_deploy_keeps_what_a_user_changed(served, server):
    """The last test here: it moves the deployments to a work pool."""
    words = [PREFECT, "--no-prompt", "deploy", "--all"]
    pool = [PREFECT, "work-pool", "create", "strive", "--type", "process", "--overwrite"]
    before = served.get("/deployments/name/reproduce/reproduce").json()
    for command in (pool, words):
        done = subprocess.run(command, env=server[1], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    after = served.get("/deployments/name/reproduce/reproduce").json()
    assert after["work_pool_name"] == "strive"
    for name in ("schedules", "parameters", "paused", "tags"):
        assert after[name] == before[name], name
