"""What `strive reproduce` asks before it imports anything heavy: any single thing that is missing or changed counts."""

import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from support.synthetic import result

from pipeline.evaluation.proofs import proof_of
from pipeline.plan.plain_form import untagged
from pipeline.plan.studies import study
from pipeline.publication import completeness
from pipeline.publication.publish import publish
from pipeline.records.dataset import DatasetManifest
from pipeline.records.result import Digests
from pipeline.store.objects import open_store
from pipeline.store.paths import DatasetFolder, RunFolder, StudyFolder
from pipeline.visualization.catalogue import REPRODUCTION, RenderRequest, missing

SMOKE = study("smoke")
FIRST = SMOKE.experiments[0]
RUN, FOLDER = RunFolder(FIRST.id), StudyFolder("smoke")
DIGESTS = Digests(model="m", dataset="d")


def is_complete(store, study=SMOKE, wanted=REPRODUCTION, price=None):
    return completeness.is_complete(store, study, wanted, price)


def finish(store, experiment):
    """A verified run with all its pictures, without training or drawing."""
    run, of = RunFolder(experiment.id), replace(result(experiment, 3.0), digests=DIGESTS)
    store.write_json(run.result, of.plain())
    store.write_json(run.not_kept, {"what": "weights"})
    store.write_json(run.evaluation, proof_of(store, of, run.id).plain())
    for picture in missing(store, experiment, DIGESTS, REPRODUCTION):
        store.write_json(run.figure(f"{picture.name(DIGESTS)}.json"), {})
        store.write(run.figure(f"{picture.name(DIGESTS)}.png"), b"a picture")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder whose study has all that a reproduction leaves."""
    folder = tmp_path_factory.mktemp("published")
    store = open_store(str(folder))
    for experiment in SMOKE.experiments:
        finish(store, experiment)
    about = {"dataset": untagged(FIRST.dataset), "preprocess": untagged(FIRST.recipe.preprocess)}
    manifest = DatasetManifest(objects={}, **about)
    store.write_record(DatasetFolder(FIRST.dataset, FIRST.recipe.preprocess).manifest, manifest)
    store.write(FOLDER.gallery, b"<p>pictures</p>")
    publish(store, SMOKE)
    return folder


@pytest.fixture
def smoke(published, tmp_path):
    """A copy of it to change."""
    return open_store(str(shutil.copytree(published, tmp_path / "store")))


def test_a_study_that_is_there_and_whole_needs_nothing(smoke):
    assert is_complete(smoke)


@pytest.mark.parametrize(
    "path",
    [
        RUN.result,
        RUN.evaluation,
        RUN.figure(f"{missing(open_store('nowhere'), FIRST, DIGESTS, REPRODUCTION)[0].name(DIGESTS)}.json"),
        DatasetFolder(FIRST.dataset, FIRST.recipe.preprocess).manifest,
        *(FOLDER.object(name) for name in ("table.csv", "claims.tex", "report.html", "gallery/index.html")),
        *(FOLDER.object(name) for name in ("files.json", "inputs.json", "schema.json", "manifest.json")),
    ],
)
def test_anything_missing_is_made_again(smoke, path):
    smoke.delete(path)
    assert not is_complete(smoke)


@pytest.mark.parametrize("path", [FOLDER.report, FOLDER.table("parquet"), FOLDER.gallery])
def test_a_damaged_file_is_made_again(smoke, path):
    smoke.write(path, smoke.read(path)[:-1])
    assert not is_complete(smoke)


def test_another_result_price_request_or_number_of_seeds_is_another_publication(smoke):
    assert not is_complete(smoke, price=2.0)
    assert not is_complete(smoke, wanted=RenderRequest())
    for experiment in study("smoke", 2).experiments:
        finish(smoke, experiment)
    assert not is_complete(smoke, study("smoke", 2))
    assert is_complete(smoke)
    smoke.write(RUN.figure("more.png"), b"drawn since")
    assert not is_complete(smoke)


def test_other_code_publishes_again(smoke, monkeypatch):
    monkeypatch.setattr(completeness, "LIBRARIES", (*completeness.LIBRARIES, "torch"))
    assert not is_complete(smoke)


def test_the_question_needs_nothing_heavy(smoke):
    code = f"""
import sys
from flows.cli.app import app
from typer.testing import CliRunner
answer = CliRunner().invoke(app, ["reproduce", "smoke", "--store", {smoke.url!r}])
assert "nothing was trained" in answer.output, answer.output
heavy = {{"torch", "ray", "prefect", "pandas", "scipy", "s3fs", "sklearn"}} & set(sys.modules)
sys.exit(f"imported: {{heavy}}" if heavy else answer.exit_code)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
