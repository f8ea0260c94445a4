"""The embedded Prefect server is ours alone, whatever the user's environment says."""

import os
import subprocess
import sys

from flows.local_server import _cause


def test_the_cause_is_the_error_and_not_uvicorns_last_line():
    said = "Traceback:\nsqlite3.OperationalError: unable to open database\n\nApplication startup failed. Exiting.\n"
    assert _cause(said) == "sqlite3.OperationalError: unable to open database"
    assert _cause("") == ""


def test_it_answers_despite_proxies_and_settings_of_another_server(tmp_path):
    hostile = {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "socks5://127.0.0.1:9",
        "PREFECT_SERVER_API_AUTH_STRING": "user:secret",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:////nowhere/x.db",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    code = """
from flows.local_server import prefect_api
with prefect_api():
    from prefect.client.orchestration import get_client
    with get_client(sync_client=True) as client:
        assert client.read_flows() == []
"""
    env = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"} | hostile
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("strive/prefect-*/prefect.db"))
