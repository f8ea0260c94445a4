"""What keeps Ray from starting is said in a sentence, at once."""

import socket
import sys

import pytest

from pipeline.runtime.ray_check import ray_trouble


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    monkeypatch.setenv("RAY_ADDRESS", "")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")


def test_an_empty_address_is_unset():
    assert ray_trouble() == ""


@pytest.mark.parametrize("name", ["my code", "o'brien"])
def test_an_interpreter_that_a_shell_would_split_is_refused(monkeypatch, name):
    monkeypatch.setattr(sys, "executable", f"/home/{name}/.venv/bin/python")
    assert "Move the checkout" in ray_trouble()


def test_a_folder_too_long_for_a_socket_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + "x" * 60)
    assert "RAY_TMPDIR" in ray_trouble()


def test_a_dead_address_is_named_and_a_living_one_is_not(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert ray_trouble() == ""
    assert address in ray_trouble()
