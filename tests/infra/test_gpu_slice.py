"""A rehearsal on the CPU: on a host without most libraries, cut off and gone on with, as a table's store at the end."""

import subprocess
import sys

import pytest

from pipeline.data import prepare
from pipeline.plan.studies import study
from pipeline.records.result import Result
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training import job, leases
from pipeline.training.owners import LeaseObserver, this_process

# what a GPU host has not
ABSENT = ("ray", "prefect", "s3fs", "botocore", "psutil", "pydantic", "typer", "sklearn", "scipy", "rich", "matplotlib")
BARE = """
import runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.argv = {words}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def slice_of(root, store, seconds):
    words = [str(root / "infra" / "gpu_slice.py"), "--study", "smoke", "--store", str(store), "--skip-bench"]
    script = BARE.format(absent=ABSENT, words=[*words, "--seconds", str(seconds)])
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=200, cwd=store.parent
    )


def test_an_unknown_study_is_refused_in_a_sentence(root, tmp_path):
    words = [sys.executable, root / "infra/gpu_slice.py", "--study", "smoek", "--store", tmp_path, "--skip-checks"]
    found = subprocess.run([*words, "--skip-bench"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (2, "")
    assert found.stdout == "cannot: unknown study 'smoek'. Did you mean smoke?\n"


@pytest.mark.ci
def test_a_slice_is_cut_off_and_the_next_one_ends_the_study(root, tmp_path):
    wanted = study("smoke")
    runs = [RunFolder(experiment.id) for experiment in wanted.experiments]
    results, unbroken = open_store(str(tmp_path / "results")), open_store(str(tmp_path / "unbroken"))
    for store in (results, unbroken):
        prepare.make(store, wanted.experiments[0].dataset, wanted.experiments[0].recipe.preprocess)

    cut = slice_of(root, tmp_path / "results", seconds=1)
    assert cut.returncode == 0, cut.stderr
    assert "time is up" in cut.stdout
    assert not all(results.exists(run.result) for run in runs)
    ended = slice_of(root, tmp_path / "results", seconds=500)
    assert ended.returncode == 0, ended.stderr
    assert "nothing is left to train" in ended.stdout

    for experiment, run in zip(wanted.experiments, runs, strict=True):
        held, _ = leases.acquire(unbroken, [experiment], 1, this_process(), LeaseObserver(unbroken))
        [expected] = job.run(held, unbroken)
        assert results.read_json(run.result)["digests"]["model"] == expected.digests.model
        assert results.read_json(run.evaluation)["wrong"] == expected.wrong
        half, whole = (
            len(results.read(path)) for path in (run.halved, run.weights_of(results.read_record(Result, run.result)))
        )
        assert 0.4 < half / whole < 0.8
