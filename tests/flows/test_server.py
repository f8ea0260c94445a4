"""A real Prefect server: deployments are served, one is triggered through its API, and completes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from support.processes import free_port, wait_for

pytestmark = pytest.mark.prefect
PREFECT = str(Path(sys.executable).with_name("prefect"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    url = f"http://127.0.0.1:{port}/api"
    env = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": url}
    with (home / "server.log").open("wb") as log:
        command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            wait_for(f"{url}/health", 180)
            yield url, env
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def served(server):
    """The API while `strive serve` runs beside it."""
    url, env = server
    with Path(env["PREFECT_HOME"], "serve.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "flows.cli.app", "serve"], env=env, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=url, timeout=30) as api:
                until = time.monotonic() + 120
                while len(api.post("/deployments/filter", json={}).json()) < 5:
                    assert process.poll() is None, log
                    assert time.monotonic() < until
                    time.sleep(0.5)
                yield api
        finally:
            process.terminate()
            process.wait(30)


def test_a_deployment_is_triggered_with_parameters_and_completes(served, reproduced):
    deployments = {d["name"]: d for d in served.post("/deployments/filter", json={}).json()}
    assert set(deployments) == {"prepare", "train", "explain", "publish", "reproduce"}
    assert [s["active"] for s in deployments["reproduce"]["schedules"]] == [False]
    path = f"/deployments/{deployments['reproduce']['id']}/create_flow_run"
    bad = served.post(path, json={"parameters": {"request": {"study": "digist"}}})
    assert bad.status_code == 409

    store, _ = reproduced
    table = store / "studies/smoke/table.md"
    table.unlink()
    parameters = {"request": {"study": "smoke", "store": str(store)}}
    for _ in range(5):  # SQLite may be locked for a moment, and clients try again
        answer = served.post(path, json={"parameters": parameters})
        if answer.status_code < 500:
            break
        time.sleep(1)
    assert answer.status_code == 201, answer.text
    run = answer.json()["id"]
    until = time.monotonic() + 180
    while (state := served.get(f"/flow_runs/{run}").json()["state"])["type"] not in ("COMPLETED", "FAILED", "CRASHED"):
        assert time.monotonic() < until, state
        time.sleep(1)
    assert state["type"] == "COMPLETED", state
    assert table.exists()
    artifacts = served.post("/artifacts/filter", json={}).json()
    assert {"smoke-table", "smoke-results", "smoke-report"} <= {a["key"] for a in artifacts}
