"""The policy for people who only pull, enforced by moto's server, which knows actions and resources, not conditions."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict

import pytest
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


@pytest.fixture
def reader(root, monkeypatch):
    """A client with the rights of readers.json, and no others."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with _server(monkeypatch) as client:
        s3, iam = client("s3"), client("iam")
        s3.create_bucket(Bucket=BUCKET)
        for key, body in OBJECTS.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        listed = {key: asdict(pull.entry(body)) for key, body in OBJECTS.items() if "model" not in key}
        s3.put_object(Bucket=BUCKET, Key=StudyFolder("smoke").files, Body=json.dumps(listed).encode())
        policy = (root / "infra/readers.json").read_text().replace("BUCKET", BUCKET)
        iam.create_user(UserName="reader")
        iam.put_user_policy(UserName="reader", PolicyName="readers", PolicyDocument=policy)
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        yield client("s3")


@contextmanager
def _server(monkeypatch):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "tests/support/moto_server.py", str(port)]
    env = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(BEFORE)}
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        wait_for(f"{url}/moto-api/")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "owner")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "owner")
        yield lambda service: get_session().create_client(service, region_name="us-east-1")
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
