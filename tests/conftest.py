"""One torch thread, no server but those that tests start, and every store test on a folder and over HTTP."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

import pytest
from support import real_data  # noqa: F401  takes STRIVE_DATA_DIR away from all other tests
from support.processes import free_port, wait_for

from pipeline.runtime.bytecode import keep_bytecode
from pipeline.runtime.limits import cores

keep_bytecode()  # tests start hundreds of processes, each of which would compile torch, Ray and Prefect
os.environ["DO_NOT_TRACK"] = "1"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"  # of every process that a test starts, too: the cores are busy with other tests
for name in ("STRIVE_STORE", "STRIVE_WORKERS", "STRIVE_DATA_MIRROR", "RAY_ADDRESS", "PREFECT_API_URL"):
    os.environ.pop(name, None)

# Files of tests on a cluster run in one process, one after the other: two clusters on two cores only wait for each
# other, and the first two use one reproduction.
ON_A_CLUSTER = (
    "tests/flows/test_reproduce.py",
    "tests/flows/test_server.py",
    "tests/training/test_ray_train.py",
    "tests/visualization/test_render.py",
    "tests/evaluation/test_verification.py",
    "tests/data/test_preparation.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
    items.sort(key=lambda item: _file(item.nodeid) not in ON_A_CLUSTER)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are CPUs: tests wait for servers, and for what they keep away, a third of their time."""
    return cores() + 1


def pytest_xdist_make_scheduler(config, log):
    """Every file is one piece of work: what its tests share is built once."""
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "on a cluster" if _file(nodeid) in ON_A_CLUSTER else _file(nodeid)

    return Files(config, log)


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def pytest_configure() -> None:
    """Ray and Prefect keep their files in a folder of ours: those of other programs on this host are not seen."""
    home = tempfile.mkdtemp(prefix="strive", dir="/tmp")  # a socket's path may be 107 characters long
    os.environ.update(RAY_TMPDIR=home, PREFECT_HOME=f"{home}/prefect")


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["RAY_TMPDIR"], ignore_errors=True)


@pytest.fixture(autouse=True)
def _one_thread():
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _no_sync():
    """No test cuts the power: what the kernel has been given is as good as on the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _file: None)
        yield


@pytest.fixture(scope="session")
def s3():
    """AWS_* variables of an S3 endpoint with a fresh bucket: a real one where it is named, else moto's server."""
    real = os.environ.get("STRIVE_TEST_S3_ENDPOINT")
    keep = dict(os.environ)
    server = None
    if real:
        os.environ["AWS_ENDPOINT_URL"] = real
    else:
        port = free_port()
        command = [sys.executable, str(Path(__file__).with_name("support") / "moto_server.py"), str(port)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        fresh = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        os.environ.update(fresh, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
        os.environ.pop("AWS_PROFILE", None)
        wait_for(f"http://127.0.0.1:{port}/moto-api/")
    bucket = f"strive-{uuid4().hex[:12]}"
    from pipeline.store.s3 import filesystem

    filesystem().call_s3("create_bucket", Bucket=bucket)  # its mkdir names us-east-1, which no server takes
    yield f"s3://{bucket}"
    if server:
        server.kill()
        server.wait()
    os.environ.clear()
    os.environ.update(keep)


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def store_url(request, tmp_path) -> str:
    """An empty store of either kind."""
    if request.param == "folder":
        return str(tmp_path / "store")
    return f"{request.getfixturevalue('s3')}/{uuid4().hex[:8]}"


@pytest.fixture
def store(store_url):
    from pipeline.store.objects import open_store

    return open_store(store_url)


@pytest.fixture
def noise(monkeypatch):
    """The data set of support/noise.py can be prepared."""
    from support.noise import RAW

    from pipeline.data import sources

    monkeypatch.setitem(sources._SOURCES, "noise", lambda: RAW)


@pytest.fixture
def prepared(noise, store):
    """A store that has it."""
    from support.noise import NOISE, ONE

    from pipeline.data import prepare

    prepare.make(store, NOISE, ONE.recipe.preprocess)
    return store
