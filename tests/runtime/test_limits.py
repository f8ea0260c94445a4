"""How much of a machine is ours, against trees of /proc and cgroups written as the kernel's documents give them."""

import json
import math
import os
import shutil
import subprocess
import sys

import pytest

from pipeline.runtime import limits


def tree(tmp_path, version, files, root="/", own="/job/step"):
    """A /proc whose mountinfo leads to cgroups with these files; `files` by folder below the mount."""
    proc, top = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    names, kind, options = ("", "cgroup2", "rw") if version == 2 else ("cpu,memory", "cgroup", "rw,cpu,memory")
    (proc / "self/cgroup").write_text(f"12:pids:/elsewhere\n0:{names}:{own}\n")
    (proc / "self/mountinfo").write_text(
        f"21 1 0:19 / /proc rw,nosuid shared:9 - proc proc rw\n31 23 0:27 {root} {top} rw - {kind} cgroup {options}\n"
    )
    for path, text in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)
    return proc


@pytest.mark.parametrize(
    ("version", "files", "cpus"),
    [
        (2, {"job/step/cpu.max": "max 100000\n"}, math.inf),
        (2, {"job/step/cpu.max": "50000 100000\n"}, 0.5),
        (2, {"job/step/cpu.max": "max 100000\n", "job/cpu.max": "150000 100000\n"}, 1.5),  # of a folder above
        (1, {"job/step/cpu.cfs_quota_us": "-1\n", "job/step/cpu.cfs_period_us": "100000\n"}, math.inf),
        (1, {"job/step/cpu.cfs_quota_us": "200000\n", "job/step/cpu.cfs_period_us": "50000\n"}, 4.0),
        (2, {}, math.inf),
    ],
)
def test_a_quota_is_found_in_either_version_of_cgroups(tmp_path, version, files, cpus):
    assert limits.cpu_quota(tree(tmp_path, version, files)) == cpus


def test_a_containers_own_cgroup_is_where_it_is_mounted(tmp_path):
    proc = tree(tmp_path, 2, {"cpu.max": "100000 100000\n"}, root="/../../..", own="/")
    assert limits.cpu_quota(proc) == 1.0
    seen_whole = tree(tmp_path / "v1", 2, {"cpu.max": "300000 100000\n"}, root="/docker/1f", own="/docker/1f")
    assert limits.cpu_quota(seen_whole) == 3.0


def test_no_linux_has_no_quota(tmp_path):
    assert limits.cpu_quota(tmp_path) == math.inf
    assert limits.free_memory(tmp_path) > 0


@pytest.mark.parametrize(("quota", "cpus"), [(0.5, 1), (1.9, 1), (math.inf, 8), (3.0, 3), (64.0, 8)])
def test_cores_is_what_affinity_and_quota_both_allow(monkeypatch, quota, cpus):
    monkeypatch.setattr(limits, "cpu_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert limits.cores() == cpus


def test_threads_are_kept_within_a_quota_only(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(limits, "cpu_quota", lambda: math.inf)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    limits.limit_threads()
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setattr(limits, "cpu_quota", lambda: 2.5)
    monkeypatch.setenv("OMP_NUM_THREADS", "0")  # so that monkeypatch restores it
    monkeypatch.delenv("OMP_NUM_THREADS")
    limits.limit_threads()
    assert os.environ.pop("OMP_NUM_THREADS") == "2"


def test_memory_that_a_cgroup_caches_counts_as_free(tmp_path):
    """A limit of 1000 bytes, 900 used, 300 of these are files that can be dropped: 400 are left."""
    files = {"memory.max": "1000\n", "memory.current": "900\n", "memory.stat": "anon 600\ninactive_file 300\n"}
    assert limits.free_memory(tree(tmp_path, 2, {f"job/{name}": text for name, text in files.items()})) == 400
    v1 = {"memory.limit_in_bytes": "2000", "memory.usage_in_bytes": "500", "memory.stat": "total_inactive_file 0"}
    proc = tree(tmp_path / "v1", 1, {f"job/step/{name}": text for name, text in v1.items()})
    assert limits.free_memory(proc) == 1500


@pytest.mark.skipif(shutil.which("taskset") is None, reason="no taskset")
def test_a_command_pinned_to_one_cpu_plans_one_process(tmp_path):
    cpu = min(os.sched_getaffinity(0))
    command = ["taskset", "-c", str(cpu), sys.executable, "-m", "flows.cli.app"]
    done = subprocess.run(
        [*command, "plan", "smoke", "--store", str(tmp_path), "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["workers"] == 1


def test_a_local_ray_is_given_our_cpus(monkeypatch):
    from pipeline.runtime import ray_cluster

    given = {}
    monkeypatch.setattr(ray_cluster, "cores", lambda: 3)
    monkeypatch.setattr(ray_cluster.ray, "init", lambda **words: given.update(words))
    monkeypatch.setattr(ray_cluster.ray, "cluster_resources", lambda: {"CPU": given["num_cpus"]})
    assert ray_cluster.connect().workers == 3
    assert ray_cluster.connect(2).workers == given["num_cpus"] == 2
