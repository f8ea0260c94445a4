"""docker-compose.yml as it stands, in a real engine: `.ci/containers run uv run pytest -n 0 -s -m containers`.

STRIVE_CONTAINERS_STUDY is the study that is trained while services are killed: `digits`, or `smoke`, which is quicker.
"""

import os
import shutil
import time

import httpx
import pandas as pd
import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session
from support.engine import ENDED, Containers

pytestmark = [
    pytest.mark.containers,
    pytest.mark.timeout(3600),  # with digits on two slow cores more than half an hour
    pytest.mark.skipif(not shutil.which("docker-compose"), reason="run it through .ci/containers"),
]
STUDY = os.environ.get("STRIVE_CONTAINERS_STUDY", "smoke")
ENDPOINT = "http://127.0.0.1:7070"
SERVICES = ("store", "postgres", "prefect", "ray-worker", "ray-head", "runner")
FOLLOW = {"ray-head": ("ray-worker", "runner")}  # a node does not outlive its head


@pytest.fixture(scope="module")
def house(root, tmp_path_factory):
    built = Containers(root, tmp_path_factory.mktemp("house"))
    try:
        print(f"\nall healthy {built.up():.0f} s after `up`")
        yield built
    finally:
        built.down()


@pytest.fixture(scope="module")
def objects(house):
    """The store from this host, as its owner."""
    return _client(house.secrets["S3_ACCESS_KEY"], house.secrets["S3_SECRET_KEY"])


def _client(access: str, secret: str):
    keys = {"aws_access_key_id": access, "aws_secret_access_key": secret}
    return get_session().create_client("s3", region_name="us-east-1", endpoint_url=ENDPOINT, **keys)


def results(objects) -> set[str]:
    """The runs that are finished."""
    pages = objects.get_paginator("list_objects_v2").paginate(Bucket="strive", Prefix="runs/")
    keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
    return {key for key in keys if key.endswith("/result.json")}


def attempts(objects) -> int:
    """Leases that were ever taken: one more says that something trains."""
    pages = objects.get_paginator("list_objects_v2").paginate(Bucket="strive", Prefix="runs/")
    keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
    return sum("/claims/" in key and key.endswith(".beat.json") for key in keys)


def test_the_page_is_served_and_the_api_asks_for_the_password(house):
    page = httpx.get("http://127.0.0.1:4200/", follow_redirects=True)
    assert page.status_code == 200
    assert "<html" in page.text.lower()
    assert httpx.post("http://127.0.0.1:4200/api/flows/filter", json={}).status_code == 401


def test_ray_counts_what_its_containers_may_use(house):
    said = house.compose(
        "exec", "-T", "runner", "python", "-c",
        "import ray; ray.init(address='ray-head:6379', log_to_driver=False); print(ray.cluster_resources()['memory'])",
    )  # fmt: skip
    limit = sum(int(house.compose("exec", "-T", name, "python", "-c", LIMIT)) for name in SERVICES[3:])
    assert 0 < float(said.split()[-1]) < limit <= 18 * 2**30


LIMIT = """if True:
    from pathlib import Path
    places = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"
    print(next(Path(p).read_text() for p in places if Path(p).exists()))"""


def test_the_image_has_its_bytecode_and_folders_that_can_be_written(house):
    for module in ("flows.reproduce", "torch", "json"):
        code = f"import {module} as m; from importlib.util import cache_from_source as c; open(c(m.__file__))"
        assert house.compose("exec", "-T", "runner", "python", "-c", f"{code}; print('has')").strip() == "has", module
    said = house.compose("exec", "-T", "runner", "sh", "-c", "touch /store/a ~/.cache/a && ls -d /data /store/a")
    assert said.split() == ["/data", "/store/a"]
    words = ("sh", "-c", "touch /store/b && ls /store")
    said = house.compose("run", "--rm", "--no-deps", "-T", "-e", "STRIVE_STORE=/store", "bucket", *words)
    assert said.split() == ["b"]


def test_a_reader_made_by_one_command_reads_the_table_and_nothing_else(house, objects):
    print(f"smoke through the API: {house.complete(600, study='smoke'):.0f} s")
    said = house.compose("exec", "-T", "runner", "python", "infra/reader.py", "anna").split()
    keys = dict(word.split("=") for word in said if "=" in word)
    access, secret = keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]
    options = {"key": access, "secret": secret, "client_kwargs": {"endpoint_url": ENDPOINT}}
    table = pd.read_parquet("s3://strive/studies/smoke/table.parquet", storage_options=options)
    assert len(table) >= 1
    reader = _client(access, secret)
    for call, more in (("get_object", {"Key": min(results(objects))}), ("put_object", {"Key": "studies/a"})):
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(reader, call)(Bucket="strive", **more)


def test_killed_in_training_every_service_comes_back_and_the_study_ends(house, objects):
    for seeds, service in enumerate(SERVICES, start=2):
        before = attempts(objects)
        run = house.trigger(study=STUDY, seeds=seeds)
        await_training(objects, before)
        begun = time.monotonic()
        killed = {name: house.state(name)["Pid"] for name in (service, *FOLLOW.get(service, ()))}
        house.kill(service)
        for name, process in killed.items():
            house.await_again(name, process)
            print(f"{name}: healthy {time.monotonic() - begun:.0f} s after {service} was killed")
        state = house.await_state(run, ENDED, 900)
        print(f"    the flow run: after {time.monotonic() - begun:.0f} s {house.message(run)}")
        if state != "COMPLETED":
            print(f"    triggered again: completed in {house.complete(900, study=STUDY, seeds=seeds):.0f} s")
    keys = {"key": house.secrets["S3_ACCESS_KEY"], "secret": house.secrets["S3_SECRET_KEY"]}
    where = {**keys, "client_kwargs": {"endpoint_url": ENDPOINT}}
    table = pd.read_parquet(f"s3://strive/studies/{STUDY}/table.parquet", storage_options=where)
    print(table.to_string())
    assert len(table) >= 1


def await_training(objects, before: int, seconds: float = 300) -> None:
    """Until a run has been begun after `before` were, by a heartbeat that the store has."""
    until = time.monotonic() + seconds
    while attempts(objects) <= before:
        assert time.monotonic() < until, "nothing trains"
        time.sleep(0.3)


def test_a_worker_of_a_work_pool_runs_the_flows_too(house):
    print(f"healthy with a work pool {house.up(STRIVE_POOL='1'):.0f} s after `up`")
    assert house.api.get("/deployments/name/reproduce/reproduce").json()["work_pool_name"] == "strive"
    print(f"smoke on the pool: {house.complete(600, study='smoke', replicate=1):.0f} s")
