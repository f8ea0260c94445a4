"""What can be said of infra/ without starting it."""

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import yaml


def script(root, *words, cwd=None, env=None):
    command = [sys.executable, str(root / words[0]), *words[1:]]
    env = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env, timeout=100)


def ours(services):
    return {name: s for name, s in services.items() if s["image"] == "strive"}


def test_ports_are_published_on_loopback_only(services):
    published = [port for s in services.values() for port in s.get("ports", [])]
    assert published
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in published)
    assert not any("network_mode" in s or "privileged" in s for s in services.values())


def test_every_secret_is_refused_when_empty_and_secrets_py_makes_it(root, tmp_path):
    asked = re.findall(r"\$\{(\w+)([^}]*)\}", (root / "docker-compose.yml").read_text())
    secrets = {name for name, rest in asked if not name.startswith("STRIVE_") and not name.endswith("_MEMORY")}
    assert all(rest.startswith(":?") for name, rest in asked if name in secrets)
    assert all(rest.startswith(":-") for name, rest in asked if name not in secrets)

    assert script(root, "infra/secrets.py", cwd=tmp_path).returncode == 0
    file = tmp_path / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = dict(line.split("=") for line in file.read_text().splitlines())
    assert set(lines) == secrets
    assert all(len(value) >= 20 for value in lines.values())
    assert len(set(lines.values())) == len(lines)

    before = file.read_bytes()
    again = script(root, "infra/secrets.py", cwd=tmp_path)
    assert again.returncode == 1
    assert "is kept" in again.stderr
    nowhere = script(root, "infra/secrets.py", "nowhere/.env", cwd=tmp_path)
    assert (nowhere.returncode, nowhere.stderr) == (1, "cannot write nowhere/.env: No such file or directory\n")
    assert file.read_bytes() == before


def test_every_service_that_stays_has_a_health_check_and_is_restarted(services):
    for name, service in services.items():
        if name == "bucket":
            assert service["restart"] == "no"
        else:
            assert service["restart"] == "unless-stopped"
            assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_who_waits_for_whom_names_services_and_their_state(services):
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            state = "service_healthy" if "healthcheck" in services[other] else "service_completed_successfully"
            assert how == {"condition": state}


def test_the_commands_of_our_services_exist(root, services):
    from flows.cli.app import app

    programs = Path(sys.executable).parent
    for service in ours(services).values():
        for words in (service["command"], service.get("healthcheck", {}).get("test", ["CMD", "python"])[1:]):
            assert (programs / words[0]).exists() or shutil.which(words[0]), words
            assert all((root / word).exists() for word in words if word.startswith("infra/"))
    said = re.findall(r"^ *strive (\w+)", (root / "infra/runner.sh").read_text(), re.MULTILINE)
    assert said
    assert set(said) <= {command.name or command.callback.__name__ for command in app.registered_commands}


def test_the_image_is_given_what_it_copies_and_is_not_root(root):
    text = (root / "infra/Dockerfile").read_text()
    copied = {word for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for word in line.split()}
    assert all((root / word).exists() for word in copied)
    allowed = set(re.findall(r"^!(\S+)$", (root / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == allowed
    assert text.rstrip().endswith('USER strive\nCMD ["strive", "--help"]')


def test_gpu_override_changes_a_service_that_exists(root, services):
    assert set(yaml.safe_load((root / "infra/gpu.yml").read_text())["services"]) <= set(services)


def test_alive_tells_who_answers(root):
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        assert script(root, "infra/alive.py", address).returncode == 1
        listener.listen()
        assert script(root, "infra/alive.py", address).returncode == 0


@pytest.mark.s3
@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1"])
def test_the_bucket_is_made_once_and_the_second_call_changes_nothing(root, s3, region):
    env = {"STRIVE_STORE": f"s3://made-{uuid4().hex[:12]}/somewhere", "AWS_REGION": region}
    first = script(root, "infra/bucket.py", env=env)
    assert first.returncode == 0, first.stderr
    assert " made; " in first.stdout
    second = script(root, "infra/bucket.py", env=env)
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout.replace(" made; ", " was there; ")


def test_a_bucket_that_cannot_be_made_says_why(root, monkeypatch):
    from support.processes import free_port

    refused = script(root, "infra/bucket.py", env={"STRIVE_STORE": "some/folder"})
    assert refused.returncode == 1
    assert "must be s3://bucket" in refused.stderr

    spec = importlib.util.spec_from_file_location("infra_bucket", root / "infra/bucket.py")
    bucket = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bucket)
    monkeypatch.setattr(bucket, "WAIT_SECONDS", 0.0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("STRIVE_STORE", "s3://nobody")
    assert "Could not connect" in bucket.main()


def test_settings_env_lists_every_setting(root, services):
    listed = set(re.findall(r"^(?:# )?([A-Z_]+)=", (root / "infra/settings.env").read_text(), re.MULTILINE))
    code = [file.read_text() for room in ("pipeline", "flows") for file in (root / room).rglob("*.py")]
    used = {name for text in code for name in re.findall(r"\b(?:STRIVE|AWS)_[A-Z_]+[A-Z]\b", text)}
    assert used <= listed
    given = {name for s in ours(services).values() for name in s["environment"]}
    elsewhere = {n for n in given if n.startswith(("PREFECT_RUNNER_SERVER", "PREFECT_SERVER_UI"))}
    assert given - elsewhere - {"RAY_USAGE_STATS_ENABLED"} <= listed


def test_prefect_yaml_is_what_the_deployments_write(root):
    from flows.deployments import FLOWS, prefect_yaml

    assert (root / "prefect.yaml").read_text() == prefect_yaml(), "run `python -m flows.deployments > prefect.yaml`"
    entries = yaml.safe_load(prefect_yaml())["deployments"]
    assert [entry["entrypoint"] for entry in entries] == [f"flows/{name}.py:{name}" for name in FLOWS]
    assert not any("schedules" in entry for entry in entries)  # the server's are the user's


@pytest.mark.parametrize(("words", "column"), [(["imagenet"], 1), (["large", "--seeds", "5"], 2)])
def test_the_years_plan_has_the_numbers_of_strive_plan(root, tmp_path, words, column):
    from support.processes import strive

    rows = [
        line.split("|")[1:-1] for line in (root / "infra/SCALE.md").read_text().splitlines() if line.startswith("| ")
    ]
    written = {row[0].strip(): row[column].strip() for row in rows if len(row) == 4}
    plan = strive("plan", *words, "--json", "--store", str(tmp_path)).json
    hours = plan["flops_left"] / 3e14 / 3600
    assert float(written["EFLOP"]) == pytest.approx(plan["flops_left"] / 1e18, rel=0.005)
    assert float(written["GPU hours"]) == pytest.approx(hours, abs=0.05)
    assert float(written["money for GPUs"]) == pytest.approx(3.00 * hours, abs=0.5)
