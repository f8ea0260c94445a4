"""What is committed in results/ is whole, and what READING.md says of it is what lies there."""

import io
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from pipeline.evaluation.verify import rounded_from
from pipeline.paper.networks import printed_name
from pipeline.plan.experiment import experiment
from pipeline.plan.studies import study
from pipeline.records.attempt import Provenance
from pipeline.records.result import Result
from pipeline.store.objects import open_store, sha256
from pipeline.store.paths import RunFolder

ROOT = Path(__file__).parents[1]
STORE = open_store(str(ROOT / "results"))
FINISHED = sorted(path.parent.name for path in (ROOT / "results/runs").glob("*/result.json"))
PLATEAU = 2.2  # nats; guessing among ten classes costs ln 10 = 2.303


@pytest.mark.parametrize("run", FINISHED)
def test_a_committed_run_is_whole(run):
    """Its id follows from its experiment, its digests from its files; it says on what code, data and machine it ran."""
    folder = RunFolder(run)
    this, result = experiment(STORE.read_json(folder.experiment)), STORE.read_record(Result, folder.result)
    assert this.id == run == result.experiment_id
    history = STORE.read(folder.history(result.attempt))
    assert sha256(history) == result.digests.history
    last = pd.read_parquet(io.BytesIO(history)).iloc[-1]
    assert (last["test_wrong"], last["test_seen"]) == (result.wrong, result.seen)
    facts = STORE.read_record(Provenance, folder.provenance(result.attempt))
    assert facts.dataset_manifest_sha256 == result.digests.dataset
    assert (facts.commit, facts.dirty) == (result.summary.commit, False)
    assert facts.processor
    if STORE.exists(folder.halved):
        assert rounded_from(STORE.read(folder.halved)) == result.digests.model


def test_committed_runs_were_trained_by_code_of_this_history():
    if not (ROOT / ".git").exists() or _git("rev-parse", "--is-shallow-repository") == "true":
        pytest.skip("there is no history here")
    commits = {STORE.read_record(Result, RunFolder(run).result).summary.commit for run in FINISHED}
    of_this_history = set(_git("rev-list", "HEAD").split())
    assert commits <= of_this_history


def test_reading_md_has_the_numbers_of_the_runs():
    text = (ROOT / "pipeline/paper/READING.md").read_text()
    for how, bias, shown in (
        ("xavier", 0.0, "xavier, 0"),
        ("glorot", 0.1, "glorot, 0.1"),
        ("glorot", 0.0, "glorot, 0"),
    ):
        found = re.search(rf"\| \**{shown}\** \| \**(\d+) of (\d+)\** \| \**([\d.]+)\** \|", text)
        assert found, shown
        losses = _losses(how, bias, "w4")
        assert (int(found[1]), int(found[2])) == (sum(x < PLATEAU for x in losses.values()), len(losses))
        assert float(found[3]) == pytest.approx(sum(losses.values()) / len(losses), abs=6e-4)
    for bias, column in ((0.0, 1), (0.1, 2)):
        for run, loss in _losses("xavier", bias, "").items():
            name, lr = ("Strided-CNN-A" if run.startswith("strided") else "All-CNN-C"), re.search(r"lr([\d.]+)\.s", run)
            [row] = [line for line in text.splitlines() if line.startswith(f"| {name}, {lr[1]} |")]
            wrong = STORE.read_record(Result, RunFolder(run).result).wrong
            assert row.split("|")[column + 1].strip() == f"{loss:.3f}, {wrong / 100:.1f} %"


def _losses(how, bias, width):
    """Training loss of the last epoch, by run: three networks, seed 0, batch 128, of that width."""
    chosen = [
        e
        for e in study("readings").wanted
        if e.id in FINISHED
        and (e.recipe.initialization, e.recipe.score_bias, e.recipe.batch, e.seed) == (how, bias, 128, 0)
        and e.network.name in ("strided-cnn-a", "model-c", "all-cnn-c")
        and (f".{width}." in e.id if width else ".w4." not in e.id)
    ]
    return {e.id: STORE.read_record(Result, RunFolder(e.id).result).train_loss for e in chosen}


def _git(*words):
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout.strip()


def test_the_errors_of_the_readme_are_those_of_quarter_all_of_them():
    rates, rows = (0.25, 0.1, 0.05, 0.01), r"^\| ([\w-]+ ?[ABC]?) \|" + r" (\d+\.\d\d|) \|" * 4 + "$"
    said = {name: errors for name, *errors in re.findall(rows, (ROOT / "README.md").read_text(), re.M)}
    found = {
        (
            printed_name(e.network.name),
            e.recipe.lr,
        ): f"{STORE.read_record(Result, RunFolder(e.id).result).error_percent:.2f}"
        for e in study("quarter").wanted
        if e.seed == 0 and e.id in FINISHED
    }
    assert {(n, lr): e for n, errors in said.items() for lr, e in zip(rates, errors, strict=True) if e} == found
    best = [min(float(error) for error in errors if error) for errors in said.values()]
    assert best == sorted(best)


def test_the_readme_says_at_which_epoch_the_full_length_run_is():
    [said] = re.findall(r"Strided-CNN-A at full width is at epoch (\d+) of 350", (ROOT / "README.md").read_text())
    [begun] = (ROOT / "results/runs").glob("strided-cnn-a.cifar10.lr0.05.s0.*")
    epochs = [int(note.stem.partition("-")[0]) for note in begun.glob("attempts/*/checkpoint/*.json")]
    assert max(epochs) == int(said)
