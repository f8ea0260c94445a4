"""A Prefect server with a password, `strive serve` beside it, and what tests ask them through the API."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from support.postgres import postgres
from support.processes import free_port, wait_for

from flows import prefect_schema
from flows.dead_runners import Sign
from pipeline.runtime.process_identity import boot_id, host_name, process_started

PASSWORD = "strive:secret"
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
PREFECT = str(Path(sys.executable).with_name("prefect"))


@dataclass(frozen=True)
class Server:
    """A running server: the address of its UI, the environment of its clients, what its webhook was told."""

    url: str
    env: dict[str, str]
    told: list[dict] = field(default_factory=list)

    def processes(self) -> list[psutil.Process]:
        """Of `strive serve` and all that it started."""
        found = []
        for one in psutil.process_iter():
            with suppress(psutil.Error):
                if one.environ().get("PREFECT_HOME") == self.env["PREFECT_HOME"]:
                    found.append(one)
        return found

    @contextmanager
    def api(self) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=f"{self.url}/api", timeout=60, auth=("strive", "secret")) as client:
            yield client


@contextmanager
def prefect_server(on_postgres: bool) -> Iterator[Server]:
    """On SQLite, or on a PostgreSQL of its own."""
    home, port = Path(tempfile.mkdtemp(prefix="prefect", dir="/tmp")), free_port()
    home.chmod(0o755)  # for the user that PostgreSQL runs as
    url = f"http://127.0.0.1:{port}"
    env = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": f"{url}/api"}
    env |= {"PREFECT_API_AUTH_STRING": PASSWORD, "PREFECT_SERVER_API_AUTH_STRING": PASSWORD}
    env |= {"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5"}  # else a schedule is looked at once a minute
    with ExitStack() as stack, (home / "server.log").open("wb") as log:
        if on_postgres:
            env["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = stack.enter_context(postgres(home))
        else:
            prefect_schema.create(home)  # spares a hundred migrations
        command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            wait_for(f"{url}/api/health", 180)
            yield Server(url, env)
        finally:
            process.terminate()
            process.wait(30)
    shutil.rmtree(home, ignore_errors=True)


@contextmanager
def serving(server: Server) -> Iterator[None]:
    """`strive serve`, once it serves."""
    path = Path(server.env["PREFECT_HOME"], "serve.log")
    command = [sys.executable, "-m", "flows.cli.app", "serve"]
    with path.open("wb") as log:
        process = subprocess.Popen(command, env=server.env, stdout=log, stderr=log)
        try:
            until = time.monotonic() + 120
            while "Serving" not in path.read_text(encoding="utf-8"):
                assert process.poll() is None, path.read_text(encoding="utf-8")
                assert time.monotonic() < until
                time.sleep(0.5)
            yield
        finally:
            process.terminate()
            process.wait(30)


def sent(api: httpx.Client, method: str, path: str, body: object = None) -> httpx.Response:
    """SQLite may be locked for a moment: clients try again."""
    until = time.monotonic() + 30
    while (answer := api.request(method, path, json=body)).status_code >= 500 and time.monotonic() < until:
        time.sleep(1)
    assert answer.is_success, answer.text
    return answer


def ended(api: httpx.Client, run: str, seconds: float = 180) -> dict:
    """The final state of a flow run."""
    until = time.monotonic() + seconds
    while (state := api.get(f"/flow_runs/{run}").json()["state"])["type"] not in FINAL:
        assert time.monotonic() < until, state
        time.sleep(1)
    return state


def orphaned(api: httpx.Client) -> None:
    """A flow run with a task and a subflow, whose runner was a process of this host that has ended."""
    with subprocess.Popen(["sleep", "600"]) as process:
        runner = Sign(host_name(), boot_id(), process.pid, process_started(process.pid) or "", 1)
        process.kill()
    flow = api.get("/deployments/name/reproduce/reproduce").json()["flow_id"]
    run = {"flow_id": flow, "state": {"type": "RUNNING"}}
    parent = sent(api, "POST", "/flow_runs/", run | {"name": "orphan", "tags": ["strive"], "labels": runner.labels()})
    task = {"flow_run_id": parent.json()["id"], "task_key": "a", "dynamic_key": "0", "state": {"type": "RUNNING"}}
    stands_for = sent(api, "POST", "/task_runs/", task | {"name": "the orphan's"}).json()["id"]
    sent(api, "POST", "/flow_runs/", run | {"name": "the orphan's", "parent_task_run_id": stands_for})
