"""docker-compose.yml in a real engine, which `.ci/containers run` starts: up, triggered through the API, killed."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
OVERRIDE = "tests/infra/local_images.yml"


class Containers:
    """The compose file's services, with secrets in `home`/env; `settings` are those of its file that tests change."""

    def __init__(self, root: Path, home: Path):
        self.root, self.file = root, home / "env"
        subprocess.run(["python3", "infra/secrets.py", str(self.file)], cwd=root, check=True)
        self.secrets = dict(line.split("=") for line in self.file.read_text().splitlines())
        user, _, password = self.secrets["PREFECT_AUTH"].partition(":")
        self.api = httpx.Client(base_url="http://127.0.0.1:4200/api", auth=(user, password), timeout=30)

    def compose(self, *words: str, check: bool = True, settings: dict[str, str] | None = None) -> str:
        """What `docker-compose` said; AssertionError with its complaint where it failed and that matters."""
        files = ["--env-file", str(self.file), "--file", "docker-compose.yml", "--file", OVERRIDE]
        done = subprocess.run(
            ["docker-compose", *files, *words],
            cwd=self.root,
            env=os.environ | (settings or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr[-3000:]
        return done.stdout

    def up(self, **settings: str) -> float:
        """Seconds until every service was healthy."""
        begun = time.monotonic()
        try:
            self.compose("up", "--no-build", "--detach", "--wait", "--wait-timeout", "400", settings=settings)
        except AssertionError as error:
            said = self.compose("logs", "--tail", "20", "prefect", "ray-head", "runner", check=False)
            raise AssertionError(f"{error}\n{said}") from None
        return time.monotonic() - begun

    def state(self, service: str) -> dict[str, Any]:
        """Docker's State of the service's container."""
        container = self.compose("ps", "--all", "--quiet", service).strip()
        said = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True).stdout
        return json.loads(said)[0]["State"]

    def kill(self, service: str) -> int:
        """SIGKILL to process 1 of the container, as an accident would: Docker restarts it. Its number on this host."""
        process = self.state(service)["Pid"]
        os.kill(process, signal.SIGKILL)
        return process

    def await_again(self, service: str, killed: int, seconds: float = 240) -> float:
        """Seconds until another process than the killed one is healthy."""
        begun = time.monotonic()
        while True:
            now = self.state(service)
            if now["Pid"] not in (0, killed) and now["Health"]["Status"] == "healthy":
                return time.monotonic() - begun
            assert time.monotonic() - begun < seconds, (service, now["Status"], now["Health"]["Status"])
            time.sleep(0.5)

    def trigger(self, **parameters: Any) -> str:
        """The id of a new flow run of `reproduce`."""
        deployment = self.api.get("/deployments/name/reproduce/reproduce").json()["id"]
        made = self.api.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": parameters})
        return made.raise_for_status().json()["id"]

    def await_state(self, run: str, wanted: tuple[str, ...], seconds: float) -> str:
        """The type of the state that the flow run came to; a server that is away is asked again."""
        until = time.monotonic() + seconds
        while True:
            try:
                state = self.api.get(f"/flow_runs/{run}").raise_for_status().json()["state"]
                if state["type"] in wanted:
                    return state["type"]
            except httpx.HTTPError as error:
                state = repr(error)
            assert time.monotonic() < until, state
            time.sleep(1)

    def message(self, run: str) -> str:
        """What the flow run's state says, its first line."""
        state = self.api.get(f"/flow_runs/{run}").json()["state"]
        return f"{state['name']}: {state['message'] or ''}".partition("\n")[0][:300]

    def down(self) -> None:
        """Everything is deleted, the volumes too."""
        self.api.close()
        self.compose("down", "--volumes", "--timeout", "5", check=False)

    def complete(self, seconds: float, **parameters: Any) -> float:
        """Seconds until a new flow run completed; AssertionError where it ended otherwise."""
        begun = time.monotonic()
        run = self.trigger(**parameters)
        assert self.await_state(run, ENDED, seconds) == "COMPLETED", self.message(run)
        return time.monotonic() - begun
