"""Published data on the command line: where it is looked for, and what is said when it is not what it should be."""

import json
import os
import resource

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from pipeline.plan.studies import study
from pipeline.store.objects import open_store

ONE = study("cifar-100").experiments[0].id


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def strive(*words, env=None):
    return CliRunner().invoke(app, [str(word) for word in words], env=env, catch_exceptions=False)


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_run_is_refused_over_a_poisoned_file_and_leaves_nothing(home, way):
    folder = home / "data" / "cifar-100-python"
    folder.mkdir(parents=True)
    (folder / "train").write_bytes(f"cposix\nsystem\n(S'touch {home}/mark'\ntR.".encode())
    for name, size in (("train", 155_249_918), ("test", 31_049_707)):  # as long as the published files
        (folder / name).touch()
        os.truncate(folder / name, size)
    words = ["run", ONE, "--store", home / "store"]
    if way == "option":
        answer = strive(*words, "--data-dir", home / "data")
    else:
        answer = strive(*words, env={"STRIVE_DATA_DIR": str(home / "data")})
    assert answer.exit_code == 2
    assert f"{folder}/train is not the published file: expected SHA-256 735e79b04f092ca3" in answer.output
    assert "cifar-100-python.tar.gz" in answer.output
    assert not (home / "mark").exists()
    assert open_store(str(home / "store")).names("") == []


def looked(home, *words):
    answer = strive("doctor", "--store", home / "store", "--json", *words)
    return answer.exit_code, {check["name"]: check for check in json.loads(answer.output)["checks"]}


def test_doctor_says_where_data_would_come_from_and_downloads_nothing(home):
    _, checks = looked(home)
    assert checks["digits"]["ok"]
    assert "170 MB from www.cs.toronto.edu" in checks["cifar10"]["found"]
    assert "169 MB from www.cs.toronto.edu" in checks["cifar100"]["found"]
    assert "imagenet/train/CLASS/FILE" in checks["imagenet"]["fix"]
    assert not (home / "cache").exists()


def test_doctor_finds_folders_and_what_is_wrong_with_them(home):
    for name in ("cifar-10-batches-py", "imagenet/train", "imagenet/val"):
        (home / "data" / name).mkdir(parents=True)
    (home / "data" / "cifar-100-python.tar.gz").write_bytes(b"half a fil")
    for number in range(1, 6):
        (home / "data" / "cifar-10-batches-py" / f"data_batch_{number}").touch()
    code, checks = looked(home, "--data-dir", home / "data")
    assert code == 1
    assert not checks["cifar10"]["ok"]
    assert "lacks test_batch" in checks["cifar10"]["found"]
    assert not checks["cifar100"]["ok"]
    assert "is not the published" in checks["cifar100"]["found"]
    assert not checks["imagenet"]["ok"]
    assert f"{home}/data/imagenet/train is not imagenet" in checks["imagenet"]["found"]


def test_doctor_measures_the_files_of_cifar_10(home):
    folder = home / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    sizes = [31_035_704, 31_035_320, 31_035_999, 31_035_696, 31_035_623, 31_035_526]  # of the published files
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for name, size in zip(names, sizes, strict=True):
        with open(folder / name, "wb") as file:
            file.truncate(size)  # a hole: it takes no room
    _, checks = looked(home, "--data-dir", home / "data")
    assert f"{folder}/data_batch_1 is not the published file: expected SHA-256 54636561" in checks["cifar10"]["found"]
    os.truncate(folder / "data_batch_3", 0)
    os.truncate(folder / "test_batch", 31_035_525)
    code, checks = looked(home, "--data-dir", home / "data")
    assert code == 1
    assert not checks["cifar10"]["ok"]
    assert "data_batch_3 has 0 bytes instead of 31,035,999" in checks["cifar10"]["found"]
    assert "test_batch has 31,035,525 bytes instead of 31,035,526" in checks["cifar10"]["found"]
    assert "data_batch_1" not in checks["cifar10"]["found"]


def test_doctor_says_that_the_data_directory_lacks_a_data_set(home):
    (home / "data").mkdir()
    _, checks = looked(home, "--data-dir", home / "data")
    assert checks["cifar10"]["found"].startswith(f"not in {home}/data: to be downloaded")
    assert checks["imagenet"]["found"].startswith(f"not in {home}/data, and not to be downloaded")


def test_doctor_does_not_call_ok_what_is_absent_and_optional(home):
    answer = strive("doctor", "--store", home / "store")
    lines = {line.split()[1]: line.split()[0] for line in answer.output.splitlines() if "->" not in line}
    assert (lines["digits"], lines["cifar10"], lines["imagenet"]) == ("ok", "ok", "none")
    _, checks = looked(home)
    assert set(checks["imagenet"]) == {"name", "ok", "found", "fix"}
    assert checks["imagenet"]["ok"]


def test_doctor_names_limits_of_memory_and_of_open_files(home, monkeypatch):
    limits = {resource.RLIMIT_AS: (3 * 10**9, -1), resource.RLIMIT_NOFILE: (64, 64)}  # the first may be `ulimit -Sv`
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits.get(which, (-1, -1)))
    code, checks = looked(home)
    assert code == 1
    assert checks["memory"]["found"] == "a process may map 3.0 GB (ulimit -v)"
    assert checks["ray"]["found"].startswith("64 files may be open at once")
