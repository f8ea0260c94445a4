"""What keeps Ray from starting is said in a sentence, at once."""

import resource
import socket
import sys
import tempfile
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from support.processes import free_port

from pipeline.runtime import driver, ray_check
from pipeline.runtime.ray_check import ray_folder, ray_trouble


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    monkeypatch.setenv("RAY_ADDRESS", "")
    monkeypatch.setattr(sys, "executable", sys.executable)


def test_an_empty_address_is_unset():
    assert ray_trouble() == ""


@pytest.mark.parametrize("name", ["my code", "o'brien"])
def test_an_interpreter_that_a_shell_would_split_is_refused(monkeypatch, name):
    monkeypatch.setattr(sys, "executable", f"/home/{name}/.venv/bin/python")
    assert "Move the checkout" in ray_trouble()


def test_a_folder_too_long_for_a_socket_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + "x" * 60)
    assert "RAY_TMPDIR" in ray_trouble()


def test_a_folder_that_is_not_there_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/no-such-folder")
    assert "there is no such folder" in ray_trouble()


@pytest.mark.parametrize(("workers", "needs"), [("1 worker", "95"), ("8 workers", "130")])
def test_a_limit_of_open_files_at_which_ray_would_hang_is_refused(monkeypatch, workers, needs):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (48, 64) if which == resource.RLIMIT_NOFILE else (-1, -1))
    assert f"64 files may be open at once, and Ray with {workers} needs {needs}" in ray_trouble(int(workers[0]))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (48, int(needs)))
    assert ray_trouble(int(workers[0])) == ""


def test_a_folder_that_another_user_has_made_is_refused(monkeypatch):
    monkeypatch.setattr(ray_check.os.path, "exists", lambda _place: True)
    monkeypatch.setattr(ray_check.os, "access", lambda place, _how: place != "/tmp/ray")
    assert "Ray needs to write to /tmp/ray, and we may not" in ray_trouble()


@pytest.mark.parametrize(
    ("free", "files", "says"), [(4e6, 9, "4 MB are free for 5"), (1e9, 0, "no more files can be made")]
)
def test_a_disk_that_is_full_is_refused(monkeypatch, free, files, says):
    monkeypatch.setattr(ray_check.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free))
    monkeypatch.setattr(ray_check.os, "statvfs", lambda _folder: SimpleNamespace(f_files=9, f_favail=files))
    assert says in ray_trouble()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Ray does not look at TMPDIR")
@pytest.mark.parametrize(
    ("ours", "temporary", "folder"),
    [("", "", "/tmp"), ("here", "/var/tmp", "{}/here"), ("", "/var/tmp", "/var/tmp"), ("/a", "/var/tmp", "/a")],
)
def test_rays_processes_get_the_folder_that_was_looked_at(monkeypatch, tmp_path, ours, temporary, folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_TMPDIR", ours)
    monkeypatch.setenv("TMPDIR", temporary)
    started = []
    monkeypatch.setattr(driver.subprocess, "Popen", lambda *_, **how: started.append(how["env"]) or Mock())
    monkeypatch.setattr(driver, "end_with_parent", lambda: None)
    driver.Driver("module", {})._said.close()
    assert started[0]["RAY_TMPDIR"] == folder.format(tmp_path)


def test_the_long_temporary_folder_of_a_mac_is_not_rays(monkeypatch):
    """Ray puts its sockets below /tmp there, whatever TMPDIR says."""
    long = "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T"
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", long)
    monkeypatch.setattr(tempfile, "tempdir", long)
    monkeypatch.setattr(sys, "platform", "darwin")
    from ray._common.utils import get_default_system_temp_dir

    assert ray_folder() == get_default_system_temp_dir() == "/tmp"
    assert ray_trouble() == ""
    monkeypatch.setattr(sys, "platform", "linux")
    assert ray_folder() == get_default_system_temp_dir() == long


def test_a_dead_address_is_named(monkeypatch):
    monkeypatch.setattr(ray_check, "CONNECT_SECONDS", 0.1)
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert address in ray_trouble()


@pytest.mark.parametrize("address", [" ", "127.0.0.1", "head:", ":6379", "head:port", "head:6379 ", "ray://"])
def test_what_is_no_address_is_named(monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert f"RAY_ADDRESS must be host:port, ray://host:port or auto, not {address!r}" in ray_trouble()


def test_a_cluster_that_auto_does_not_find_is_named(monkeypatch, tmp_path):
    """By Ray itself, from which the clusters of other tests are hidden."""
    hidden = "import ray._private.services as s; s.find_gcs_addresses = set; s.find_bootstrap_address = lambda _: None"
    (tmp_path / "sitecustomize.py").write_text(hidden)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert "no Ray cluster runs on this machine" in ray_trouble()


def test_rays_client_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(ray_check, "find_spec", lambda _name: None)
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    assert "host:port of the head" in ray_trouble()


def test_what_is_no_cluster_is_named(monkeypatch):
    monkeypatch.setattr(ray_check, "CONNECT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        assert "is no Ray cluster" in ray_trouble()
