"""Settings of the S3 client that cannot work: variables, profiles, files that they name, an address of a web page."""

import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest

from pipeline.errors import StoreRefused, UserError
from pipeline.store.objects import open_store

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
TLS = {"AWS_ENDPOINT_URL": "https://{}"}


class Page(BaseHTTPRequestHandler):
    """A web server that shows its page at every address."""

    def answer(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html><body>Welcome</body></html>" if self.command == "GET" else b"")

    do_GET = do_HEAD = answer

    def log_message(self, *_):
        pass


@pytest.fixture
def silent():
    """Host and port of the server; each test has a client of its own."""
    clients = fsspec.get_filesystem_class("s3")
    clients.clear_instance_cache()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    clients.clear_instance_cache()


PROFILES = """
[profile command]
credential_process = /nowhere/command
[profile source]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = absent
[profile sso]
sso_session = ours
sso_account_id = 1
sso_role_name = reader
[sso-session ours]
sso_region = us-east-1
sso_start_url = https://nowhere.invalid/start
[profile style]
aws_access_key_id = test
aws_secret_access_key = test
s3 =
  addressing_style = bogus
"""


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"AWS_PROFILE": "absent"}, "no credentials for it: .*AWS_PROFILE"),
        ({"AWS_ACCESS_KEY_ID": "half"}, "no credentials for it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_PROFILE": "command"}, "a file that its settings name cannot be read .*/nowhere/command"),
        ({"AWS_PROFILE": "source"}, "settings are not right: .*absent.* does not exist.*: correct the AWS_"),
        ({"AWS_PROFILE": "sso"}, "its sign-on is not valid: .*`aws sso login`"),
        ({"AWS_PROFILE": "style"}, "settings are not right: .*addressing style bogus"),
        ({"AWS_CONFIG_FILE": "{}/garbage"}, "settings are not right: Unable to parse config file"),
        ({"AWS_DEFAULT_REGION": "bad!"}, "settings are not right: .*region_name"),
        ({"AWS_RETRY_MODE": "bogus"}, "settings are not right: .*bogus"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"}, "/nowhere"),
        ({"AWS_CA_BUNDLE": "/nowhere", **KEYS, **TLS}, "a file that its settings name cannot be read .*AWS_CA_BUNDLE"),
        ({"AWS_CA_BUNDLE": "{}/garbage", **KEYS, **TLS}, "a file that its settings name has no certificates"),
        ({**KEYS, **TLS}, "does not speak TLS: write http://"),
    ],
)
def test_settings_of_the_client_are_named_at_once_and_without_a_traceback(
    silent, monkeypatch, tmp_path, capfd, variables, says
):
    (tmp_path / "config").write_text(PROFILES)
    (tmp_path / "garbage").write_text("garbage [[[")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    ours = {
        "AWS_CONFIG_FILE": "{}/config",
        "AWS_SHARED_CREDENTIALS_FILE": "{}/none",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in {"AWS_ENDPOINT_URL": "http://{}", **ours, **variables}.items():
        monkeypatch.setenv(name, value.format(silent if name == "AWS_ENDPOINT_URL" else tmp_path))
    began = time.monotonic()
    with pytest.raises(StoreRefused, match=rf"^the store s3://somewhere/x: .*{says}"):
        open_store("s3://somewhere/x", 20).names("")
    assert time.monotonic() - began < 5
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("profile", ["[default]\ns3 = word\n", "[default]\ns3 = 3\n"])
def test_a_profile_whose_settings_are_of_another_kind_is_refused(silent, monkeypatch, tmp_path, profile):
    (tmp_path / "config").write_text(profile)
    for name, value in {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_ENDPOINT_URL": f"http://{silent}",
        **KEYS,
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        UserError, match=r"^the S3 client's settings are not right \(.*\): correct the AWS_\* variables"
    ):
        open_store("s3://somewhere/x", 20)


@pytest.mark.parametrize(
    ("file", "text"), [("a.json", "{"), ("a.json", '{"s3": 3}'), ("a.ini", "[s3"), ("a.ini", "key = word")]
)
def test_settings_of_fsspec_that_cannot_be_read_are_named(monkeypatch, tmp_path, file, text):
    (tmp_path / file).write_text(text)
    for name in [
        name for name in sys.modules if name.partition(".")[0] in ("fsspec", "s3fs") or name.endswith("store.s3")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("FSSPEC_CONFIG_DIR", str(tmp_path))
    with pytest.raises(
        UserError, match=r"^fsspec cannot read its settings \(.*\): correct the files in FSSPEC_CONFIG_DIR"
    ):
        open_store("s3://somewhere/x", 20)


@pytest.mark.parametrize("ask", ["names", "exists", "read", "folders"])
def test_a_page_is_no_answer_of_a_bucket(silent, monkeypatch, ask):
    for name, value in {"AWS_ENDPOINT_URL": f"http://{silent}", **KEYS}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreRefused, match=f"http://{silent} answers, but not as an S3 server"):
        getattr(open_store("s3://somewhere/x", 1), ask)("runs")
