"""docker-compose.yml without containers: every service's own command, as it stands there, as a process of this host.

Only hosts become 127.0.0.1, ports free ones and /data a folder. Postgres is the host's, else SQLite; the store is
versitygw where it is installed, else moto's server.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from support.postgres import DATABASE, USER, postgres, programs
from support.processes import free_port, wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]
BIN = Path(sys.executable).parent
PORTS = ("4200", "5432", "6379", "6380", "7070", "8080")


class House:
    """The services as processes of one folder; a file of secrets made as in the README."""

    def __init__(self, root: Path, services: dict[str, dict], home: Path):
        self.root, self.services, self.home = root, services, home
        self.running: dict[str, subprocess.Popen] = {}
        self._ports: dict[tuple[str, str], int] = {}
        subprocess.run([sys.executable, "infra/secrets.py", str(home / ".env")], cwd=root, check=True)
        self.secrets = dict(line.split("=") for line in (home / ".env").read_text().splitlines())
        self._plain = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(home),
            "PREFECT_HOME": str(home / "prefect"),
            "RAY_TMPDIR": str(home / "ray"),
        }

    def port(self, service: str, number: str) -> int:
        return self._ports.setdefault((service, number), free_port())

    def native(self, service: str, text: str) -> str:
        """A word of the compose file, for this host."""
        hosts = "|".join(self.services)
        text = re.sub(rf"\b({hosts}):(\d+)\b", lambda m: f"127.0.0.1:{self.port(m[1], m[2])}", text)
        text = re.sub(rf"(?<![\d.])({'|'.join(PORTS)})\b", lambda m: str(self.port(service, m[1])), text)
        text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda m: self.secrets[m[1]], text)
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
        return (
            text.replace("0.0.0.0", "127.0.0.1")
            .replace("/data", str(self.home / "data"))
            .replace("/accounts", str(self.home / "accounts"))
        )

    def env(self, service: str) -> dict[str, str]:
        given = self.services[service]["environment"]
        return self._plain | {name: self.native(service, value) for name, value in given.items()}

    def command(self, service: str) -> list[str]:
        return [self.native(service, word) for word in self.services[service]["command"]]

    def start(self, service: str, command: list[str] | None = None, **changes: str) -> None:
        with (self.home / f"{service}.log").open("wb") as log:
            self.running[service] = subprocess.Popen(
                command or self.command(service),
                env=self.env(service) | changes,
                cwd=self.root,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def healthy(self, service: str) -> bool:
        kind, *words = self.services[service]["healthcheck"]["test"]
        words = [self.native(service, word) for word in words if word != "--or-end"]
        shell = ["sh", "-c"] if kind == "CMD-SHELL" else []
        done = subprocess.run([*shell, *words], env=self.env(service), cwd=self.root, capture_output=True, check=False)
        return done.returncode == 0

    def await_healthy(self, service: str, seconds: float = 180) -> None:
        until = time.monotonic() + seconds
        while not self.healthy(service):
            assert self.running[service].poll() is None, self.log(service)
            assert time.monotonic() < until, self.log(service)
            time.sleep(1)

    def log(self, service: str) -> str:
        return f"{service}:\n" + (self.home / f"{service}.log").read_text()[-4000:]

    def stop(self, service: str) -> None:
        process = self.running.pop(service)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def end(self) -> None:
        for service in reversed(list(self.running)):
            self.stop(service)
        for process in psutil.process_iter():  # whatever still has our folder in its environment
            try:
                if process.environ().get("HOME") == str(self.home):
                    process.kill()
            except psutil.Error:
                continue


def start_store(house: House) -> None:
    (house.home / "data").mkdir()
    (house.home / "accounts").mkdir()
    cached = Path.home() / ".cache/strive/bin/versitygw"
    program = shutil.which("versitygw") or (str(cached) if cached.exists() else None)
    port = house.port("store", "7070")
    if program:
        house.start("store", [program, *house.command("store")])
        wait_for(f"http://127.0.0.1:{port}/healthz", 60)
    else:
        house.start("store", [sys.executable, str(Path(__file__).parents[1] / "support/moto_server.py"), str(port)])
        wait_for(f"http://127.0.0.1:{port}/moto-api/", 60)


def database(house: House, stack: ExitStack) -> dict[str, str]:
    """The host's Postgres with compose's user, password and database; else what makes Prefect use SQLite."""
    if not programs():
        return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{house.home}/prefect.db"}
    env = house.env("postgres")
    assert (env["POSTGRES_USER"], env["POSTGRES_DB"]) == (USER, DATABASE)
    stack.enter_context(postgres(house.home, env["POSTGRES_PASSWORD"], house.port("postgres", "5432")))
    return {}


@pytest.fixture(scope="module")
def house(root, services):
    home = Path(tempfile.mkdtemp(prefix="house", dir="/tmp"))  # a socket's path may be 107 characters long
    home.chmod(0o755)
    (home / "ray").mkdir()
    built = House(root, services, home)
    stack = ExitStack()
    try:
        for service in ("prefect", "ray-head", "ray-worker", "runner"):
            assert not built.healthy(service)
        start_store(built)
        built.start("prefect", **database(built, stack))
        bucket = subprocess.run(
            built.command("bucket"), env=built.env("bucket"), cwd=root, capture_output=True, text=True, check=False
        )
        assert bucket.returncode == 0, bucket.stderr
        for service in ("ray-head", "ray-worker"):
            built.start(service)
            built.await_healthy(service)
        built.await_healthy("prefect")
        built.start("runner")
        built.await_healthy("runner")
        yield built
    finally:
        built.end()
        stack.close()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def api(house):
    env = house.env("runner")
    with httpx.Client(base_url=env["PREFECT_API_URL"], timeout=30) as stranger:
        assert stranger.post("/deployments/filter", json={}).status_code == 401
    auth = tuple(env["PREFECT_API_AUTH_STRING"].split(":"))
    with httpx.Client(base_url=env["PREFECT_API_URL"], auth=auth, timeout=30) as client:
        yield client


def complete(house: House, api: httpx.Client, by: str, seconds: float) -> None:
    """Trigger `reproduce` of the study smoke and wait for it."""
    deployment = api.get("/deployments/name/reproduce/reproduce").json()["id"]
    parameters = {"study": "smoke"}
    run = api.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": parameters}).json()["id"]
    until = time.monotonic() + seconds
    while (state := api.get(f"/flow_runs/{run}").json()["state"])["type"] not in ("COMPLETED", "FAILED", "CRASHED"):
        assert time.monotonic() < until, (state, house.log(by))
        time.sleep(1)
    assert state["type"] == "COMPLETED", (state, house.log(by))


def test_a_triggered_reproduction_completes(house, api):
    complete(house, api, "runner", 400)
    said = subprocess.run(
        ["strive", "table", "smoke"],
        env=house.env("runner"),
        cwd=house.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "|" in said.stdout


def test_prefect_yaml_deploys_to_a_pool_whose_worker_completes(house, api):
    house.stop("runner")  # it has a deployment of the same name
    env = house.env("runner") | {"PREFECT_RUNNER_SERVER_ENABLE": "false"}
    for words in ("work-pool create strive --type process", "--no-prompt deploy --all"):
        said = subprocess.run(
            ["prefect", *words.split()], env=env, cwd=house.root, capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, said.stdout + said.stderr
    deployment = api.get("/deployments/name/reproduce/reproduce").json()
    assert deployment["work_pool_name"] == "strive"
    assert [s["active"] for s in deployment["schedules"]] == [False]
    house.start("runner", ["prefect", "worker", "start", "--pool", "strive"], PREFECT_RUNNER_SERVER_ENABLE="false")
    complete(house, api, "runner", 200)  # the store holds it: no Ray


def test_every_health_check_fails_when_its_service_is_down(house):
    for service in ("runner", "ray-worker", "ray-head", "prefect"):
        house.stop(service)
        assert not house.healthy(service)
