"""A hostile environment: packages of our names in the working directory, proxies, a hook's variables of git."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime import commit, environment
from pipeline.runtime.driver import Driver, FleetFailed

DEAD = "http://127.0.0.1:9"  # nothing listens there


def git(*words):
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()


def test_children_import_nothing_from_the_working_directory(tmp_path, monkeypatch):
    for name in ("flows", "pipeline", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FleetFailed, match="KeyError: 'workers'"):  # it has read the order, in the right package
        Driver("pipeline.training.fleet", {}).wait()
    code = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'pipeline.runtime.commit'], check=True)"
    subprocess.run([sys.executable, "-c", code], env=environment.child_environment(), check=True)  # and theirs


@pytest.mark.parametrize("given", ["", "example.org, localhost", "*"])
def test_loopback_is_added_to_what_no_proxy_is_asked_for(monkeypatch, given):
    monkeypatch.setenv("NO_PROXY", given)
    monkeypatch.setenv("no_proxy", "")
    environment.bypass_proxies_on_loopback()
    hosts = os.environ["NO_PROXY"].split(",")
    assert hosts == ["*"] or {"127.0.0.1", "localhost", "::1"} <= set(hosts)
    assert "example.org" not in given or "example.org" in os.environ["no_proxy"]


@pytest.mark.parametrize("names", [("HTTP_PROXY", "HTTPS_PROXY"), ("ALL_PROXY",), ("all_proxy", "http_proxy")])
def test_a_client_of_our_own_server_asks_no_proxy(names, tmp_path):
    """httpx is what Prefect's client is made of."""
    code = """
import http.server, threading
from pipeline.runtime.environment import bypass_proxies_on_loopback, without_socks
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
import httpx
bypass_proxies_on_loopback()
with without_socks():
    assert httpx.Client().get(f"http://127.0.0.1:{server.server_port}/").status_code == 200
"""
    clean = {n: v for n, v in os.environ.items() if "proxy" not in n.lower()}
    for address in (DEAD, "socks5://127.0.0.1:9"):
        env = {**clean, **dict.fromkeys(names, address)}
        done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def fresh():
    commit.code_commit.cache_clear()
    yield
    commit.code_commit.cache_clear()


@pytest.mark.skipif(not (commit.ROOT / ".git").exists(), reason="no checkout")
def test_the_commit_is_of_this_code_whatever_a_hook_sets(tmp_path, monkeypatch, fresh):
    own = git("-C", str(commit.ROOT), "rev-parse", "HEAD")
    git("init", "-q", str(tmp_path))
    for name, value in {"GIT_DIR": ".git", "GIT_WORK_TREE": ".", "GIT_INDEX_FILE": ".git/index"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    assert commit.code_commit().id == own


def test_an_unknown_commit_says_why(tmp_path, monkeypatch, fresh):
    monkeypatch.delenv("STRIVE_COMMIT", raising=False)
    monkeypatch.setattr(commit, "ROOT", Path(tmp_path))
    assert str(commit.code_commit()) == f"unknown, because {tmp_path} is no git checkout"
    commit.code_commit.cache_clear()
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert commit.code_commit().id is None
    assert "git is not installed" in str(commit.code_commit())
