"""People who only pull, made by infra/reader.py: on moto's server, which has IAM but knows no conditions, and
on the gateway of docker-compose.yml where its program is installed."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from botocore.exceptions import ClientError
from botocore.session import get_session
from support.processes import free_port, wait_for

from pipeline.publication import pull
from pipeline.store.objects import open_store
from pipeline.store.paths import StudyFolder

pytestmark = pytest.mark.s3
BUCKET = "published"
OBJECTS = {
    "studies/smoke/table.csv": b"network",
    "runs/one/figures/guided.png": b"picture",
    "runs/one/attempts/1/model.safetensors": b"weights",
}
BEFORE = 1 + len(OBJECTS) + 1 + 3  # requests that anybody may make: the bucket, objects, their list, the user
GATEWAY = shutil.which("versitygw") or str(Path.home() / ".cache/strive/bin/versitygw")


@pytest.fixture(params=["iam", "gateway"])
def reader(request, root, tmp_path_factory, monkeypatch):
    """A client with the keys that infra/reader.py printed, which are those of this process, too."""
    if request.param == "gateway" and not Path(GATEWAY).exists():
        pytest.skip("the gateway is not installed: .ci/s3-server build")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    port = free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with (_moto if request.param == "iam" else _gateway)(port, tmp_path_factory.mktemp("gateway"), monkeypatch):
        s3 = get_session().create_client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket=BUCKET)
        for key, body in OBJECTS.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        listed = {key: asdict(pull.entry(body)) for key, body in OBJECTS.items() if "model" not in key}
        s3.put_object(Bucket=BUCKET, Key=StudyFolder("smoke").files, Body=json.dumps(listed).encode())
        for name, value in _made(root, "reader").items():
            monkeypatch.setenv(name, value)
        client = get_session().create_client("s3", region_name="us-east-1")
        client.kind = request.param
        yield client


def _made(root, name: str) -> dict[str, str]:
    """What infra/reader.py says is to be exported."""
    command = [sys.executable, "infra/reader.py", name]
    env = os.environ | {"STRIVE_STORE": f"s3://{BUCKET}"}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(word.split("=") for word in shlex.split(done.stdout.removeprefix("export ")) if "AWS" in word)


@contextmanager
def _moto(port, _folder, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "owner")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "owner")
    command = [sys.executable, "tests/support/moto_server.py", str(port)]
    with _server(command, f"http://127.0.0.1:{port}/moto-api/", {"INITIAL_NO_AUTH_ACTION_COUNT": str(BEFORE)}):
        yield


@contextmanager
def _gateway(port, folder, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "owner")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-store")
    services = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())["services"]
    (folder / "accounts").mkdir()
    (folder / "data").mkdir()
    given = services["store"]["environment"] | {
        "ROOT_ACCESS_KEY_ID": "owner",
        "ROOT_SECRET_ACCESS_KEY": "of-the-store",
        "VGW_PORT": f"127.0.0.1:{port}",
        "VGW_IAM_DIR": str(folder / "accounts"),
    }
    with _server([GATEWAY, "posix", str(folder / "data")], f"http://127.0.0.1:{port}/healthz", given):
        yield


@contextmanager
def _server(command, url, given):
    env = os.environ | given
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(url)
            yield
        finally:
            server.kill()


def test_readers_can_pull(reader, tmp_path):
    done = pull.pull(open_store(f"s3://{BUCKET}"), "smoke", tmp_path)
    assert done.fetched == 2
    assert (tmp_path / "studies/smoke/table.csv").read_bytes() == b"network"


@pytest.mark.parametrize(
    ("call", "more"),
    [
        ("get_object", {"Key": "runs/one/attempts/1/model.safetensors"}),
        ("put_object", {"Key": "studies/smoke/table.csv", "Body": b""}),
        ("delete_object", {"Key": "studies/smoke/table.csv"}),
    ],
)
def test_readers_can_do_nothing_else(reader, call, more):
    with pytest.raises(ClientError, match=r"AccessDenied|Forbidden"):
        getattr(reader, call)(Bucket=BUCKET, **more)


def test_readers_list_studies_alone(reader):
    if reader.kind == "iam":
        pytest.skip("moto knows no conditions")
    assert reader.list_objects_v2(Bucket=BUCKET, Prefix="studies/smoke/")["KeyCount"] == 2
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.list_objects_v2(Bucket=BUCKET, Prefix="runs/")


def test_a_second_reader_takes_nothing_from_the_first_and_a_name_serves_once(reader, root, monkeypatch):
    if reader.kind == "iam":
        pytest.skip("each user of IAM has a policy of its own")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "owner")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-store")
    second = _made(root, "second")
    for keys in (second, {}):
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        client = reader if not keys else get_session().create_client("s3", region_name="us-east-1")
        assert client.get_object(Bucket=BUCKET, Key="studies/smoke/table.csv")["Body"].read() == b"network"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "owner")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-store")
    with pytest.raises(AssertionError, match="exists"):
        _made(root, "second")
