"""Refusals about the Prefect server: one sentence, at once."""

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.processes import free_port, strive

from flows.prefect_server import server_version
from pipeline.errors import UserError


class Guarded(BaseHTTPRequestHandler):
    """Answers as Prefect does: health to anyone, the rest to who knows the password."""

    def do_GET(self):
        known = self.headers.get("Authorization") == "Basic c3RyaXZlOnNlY3JldA=="  # strive:secret
        self.send_response(200 if known or self.path.endswith("/health") else 401)
        self.end_headers()
        self.wfile.write(b'"3.8.8"')

    def log_message(self, *_):
        pass


@pytest.fixture
def guarded():
    server = HTTPServer(("127.0.0.1", 0), Guarded)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    server.server_close()


def test_the_right_password_is_taken(guarded):
    assert server_version(guarded, "strive:secret") == "3.8.8"


@pytest.mark.parametrize(("auth", "said"), [("strive:wrong", "does not take the password"), (None, "wants a password")])
def test_a_wrong_password_is_one_sentence(guarded, auth, said):
    with pytest.raises(UserError, match=said):
        server_version(guarded, auth)


def test_a_dead_server_is_one_sentence():
    with pytest.raises(UserError, match="no Prefect server answers"):
        server_version(f"http://127.0.0.1:{free_port()}/api", None)


@pytest.mark.parametrize("url", ["http://127.0.0.1:port/api", "http://my host:4200/api"])
def test_an_address_that_is_none_is_one_sentence(url):
    with pytest.raises(UserError, match=f"no Prefect server answers at {url}"):
        server_version(url, None)


def test_a_server_of_another_protocol_is_one_sentence():
    def greet():
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            connection.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=greet, daemon=True).start()
        with pytest.raises(UserError, match=r"no Prefect server answers at .* \(SSH-2.0-OpenSSH_9.6\)"):
            server_version(f"http://127.0.0.1:{listening.getsockname()[1]}/api", None)


@pytest.mark.parametrize("auth", ["strive:wrong", None])
def test_serve_refuses_a_wrong_password_at_once(guarded, auth, tmp_path):
    env = {"PREFECT_API_URL": guarded, "STRIVE_STORE": str(tmp_path)} | (
        {"PREFECT_API_AUTH_STRING": auth} if auth else {}
    )
    answer = strive("serve", env=env)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "PREFECT_API_AUTH_STRING" in answer.err


# One process, which has imported what Prefect needs: each case begins as a fork that imports Prefect itself.
READ = """
import json, os, sys
import prefect, flows.cli.doctor
for name in [name for name in sys.modules if name.split(".")[0] in ("prefect", "flows", "prometheus_client")]:
    del sys.modules[name]
for folder, variables in json.load(sys.stdin):
    if not os.fork():
        os.chdir(folder)
        os.environ.update(variables)
        from flows.cli.doctor import _look, _prefect
        print(json.dumps(_look("prefect", _prefect).found), flush=True)
        os._exit(0)
    os.wait()
"""
UNREADABLE = [
    (None, "", {"PREFECT_LOGGING_LEVEL": "LOUD"}, "PREFECT_LOGGING_LEVEL: Input should be"),
    (None, "", {"PREFECT_SERVER_API_PORT": "abc"}, "PREFECT_SERVER_API_PORT: Input should be a valid integer"),
    ("profiles.toml", "root:x:0", {"PREFECT_PROFILES_PATH": "profiles.toml"}, "Expected '='"),
    ("prefect.toml", "garbage [", {}, "prefect.toml: invalid TOML"),
    ("pyproject.toml", "[tool.prefect.server.api]\nport='x'", {}, "port: Input should be a valid integer"),
    (".env", b"\xff\xfe", {}, "can't decode byte 0xff"),
    (None, "", {"PREFECT_API_URL": "nonsense"}, "no Prefect server answers at nonsense"),
    (".env", "PREFECT_API_URL=http://127.0.0.1:9/api", {}, "no Prefect server answers at http://127.0.0.1:9/api"),
    (None, "", {"PREFECT_HOME": "/proc/none", "PREFECT_PROFILE": "none"}, "embedded server"),
]


def test_settings_that_prefect_cannot_read_are_one_sentence(tmp_path):
    cases = []
    for number, (file, text, variables, _) in enumerate(UNREADABLE):
        folder = tmp_path / str(number)
        folder.mkdir()
        if file:
            (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        cases.append((str(folder), {"PREFECT_HOME": str(folder / "home"), **variables}))
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", READ], input=json.dumps(cases), env=env, cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [says in said and "\n" not in said for said, (*_, says) in zip(found, UNREADABLE, strict=True)] == [True] * 9
    assert done.stderr == ""


def test_a_foreign_address_is_refused_before_any_work(tmp_path):
    env = {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}
    answer = strive("reproduce", "smoke", "--store", str(tmp_path / "store"), "--quiet", env=env)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "no Prefect server answers" in answer.err
    assert not (tmp_path / "store" / "datasets").exists()


def test_the_embedded_server_reads_no_settings_of_the_working_directory(tmp_path, monkeypatch):
    from flows import local_server

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    started = []
    monkeypatch.setattr(local_server.subprocess, "Popen", lambda *_, **how: started.append(how))
    local_server._Server()._said.close()
    assert started[0]["cwd"].startswith(str(tmp_path / "cache"))
