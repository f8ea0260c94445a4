"""Refusals about the Prefect server: one sentence, at once."""

import socket
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
