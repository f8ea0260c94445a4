"""The main job, for real: once in full, and once more when there is nothing left to do."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image
from support.processes import free_port, strive
from typer.testing import CliRunner

from flows.cli.app import app
from pipeline.paper.published_errors import published_error
from pipeline.paper.relu_rules import RULES
from pipeline.plan.studies import study
from pipeline.store.objects import open_store, sha256
from pipeline.store.paths import RunFolder, StudyFolder

pytestmark = [pytest.mark.ray, pytest.mark.prefect]
RUNS = study("smoke").experiments


def test_it_leaves_runs_that_rest_on_what_they_name(reproduced):
    store = open_store(str(reproduced[0]))
    words = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    head = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    for experiment in RUNS:
        run = RunFolder(experiment.id)
        result = store.read_json(run.result)
        assert result["outcome"] == "done"
        assert sha256(store.read(run.weights(result["attempt"]))) == result["digests"]["model"]
        assert store.read_json(run.evaluation)["wrong"] == result["wrong"]
        assert result["summary"]["commit"] == head  # workers run this very checkout, under `uv run` too
    assert [r["id"] for r in reproduced[1].json["runs"]] == [e.id for e in RUNS]


def test_the_table_is_the_results_beside_the_papers_numbers(reproduced):
    store, folder = open_store(str(reproduced[0])), StudyFolder("smoke")
    frame = pd.read_parquet(store.url_of(folder.table("parquet")))
    assert frame["network"].tolist() == [e.network.name for e in RUNS]
    assert set(frame["verdict"]) == {"not comparable"}
    results = [store.read_json(RunFolder(e.id).result) for e in RUNS]
    assert frame["error"].tolist() == [round(100 * r["wrong"] / r["seen"], 4) for r in results]
    assert frame["paper_error"].tolist() == [published_error(e.network.name).error for e in RUNS]
    assert pd.read_csv(store.url_of(folder.table("csv")))["runs"].tolist() == [e.id for e in RUNS]
    assert "paper %" in store.read(folder.table("md")).decode().splitlines()[0]
    assert frame["device_seconds"].tolist() == [round(r["summary"]["device_seconds"], 4) for r in results]


def test_the_page_needs_nothing_beside_it_and_can_be_pulled(reproduced, tmp_path):
    store = reproduced[0]
    page = (store / "studies/smoke/report.html").read_text()
    assert reproduced[1].json["report"] == str(store / "studies/smoke/report.html")
    assert page.count("<svg") == 2
    assert "data:image/png;base64," in page
    assert not re.search(r'src="(?!data:)|<link|<script|@import|url\((?!#)', page)
    pulled = strive("pull", "smoke", str(tmp_path), "--store", str(store), "--json")
    assert pulled.code == 0, pulled.err
    assert (tmp_path / "studies/smoke/report.html").read_text() == page
    assert pulled.json["fetched"] == len([p for p in tmp_path.rglob("*") if p.is_file()])
    again = strive("pull", "smoke", str(tmp_path), "--store", str(store), "--json")
    assert (again.json["fetched"], again.json["kept"]) == (0, pulled.json["fetched"])


def test_pictures_of_a_store_that_lacks_the_data_are_those_of_one_that_has_them(reproduced, tmp_path):
    store, (here, *_) = reproduced[0], reproduced[1].json["figures"]
    run = Path(here).relative_to(store).parts[1]
    left_out = shutil.ignore_patterns("datasets", "figures")
    shutil.copytree(store, tmp_path / "store", ignore=left_out, copy_function=os.link)
    answer = CliRunner().invoke(app, ["figures", run, "--store", str(tmp_path / "store")], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    before = {file.name: file.read_bytes() for file in Path(here).glob("maps.*.png")}
    again = tmp_path / "store/runs" / run / "figures"
    assert {name: (again / name).read_bytes() for name in before} == before
    assert len(before) == 1 + len(RULES)


def test_the_pictures_show_digits_beside_their_maps(reproduced):
    for folder in reproduced[1].json["figures"]:
        notes = [json.loads(file.read_text()) for file in Path(folder).glob("*.json")]
        assert {n["kind"] for n in notes} == {"patterns", "strongest", "largest", "maps", "sanity"}
        of = {n["method"]: n for n in notes if n["kind"] == "maps"}
        shown = {
            method: np.asarray(Image.open(Path(folder, f"{of[method]['name']}.png")).convert("RGB"), dtype=float)
            for method in of
        }
        assert [cell["label"] for cell in of["image"]["cells"]] == list(range(10))
        assert np.ptp(shown["image"], axis=2).max() == 0  # digits are gray
        for method in RULES:
            assert np.ptp(shown[method], axis=2).max() > 0  # maps are colored
            assert shown[method].std() > 5


def test_the_gallery_shows_every_run(reproduced):
    page = Path(reproduced[1].json["gallery"]).read_text(encoding="utf-8")
    assert all(f"../../../runs/{e.id}/figures/" in page for e in RUNS)


def test_a_second_call_trains_nothing_starts_no_ray_and_keeps_the_table(reproduced):
    store, _ = reproduced
    before = {p: p.read_bytes() for p in store.rglob("*") if p.is_file()}
    # a cluster that is not there would be an error, were it asked for
    env = {"RAY_ADDRESS": f"127.0.0.1:{free_port()}", "PREFECT_HOME": str(store.parent)}
    again = strive("reproduce", "smoke", "--store", str(store), env=env)
    assert again.code == 0, again.err
    assert {p: p.read_bytes() for p in store.rglob("*") if p.is_file()} == before
    table = (store / "studies/smoke/table.md").read_text()
    assert table.strip() in again.out


def test_its_prefect_server_was_ours_and_not_the_one_that_settings_name(reproduced):
    """The fixture names a database that is not there, a password and proxies."""
    assert list(reproduced[0].parent.glob("cache/strive/prefect-*/prefect.db"))


def test_no_process_is_left(reproduced):
    left = [p for p in psutil.process_iter(["cmdline", "environ"]) if _ours(p, str(reproduced[0].parent))]
    assert left == []


def _ours(process: psutil.Process, home: str) -> bool:
    """Whether it serves our Prefect, or our Ray, whose processes all write into a folder of ours."""
    environ, command = process.info["environ"] or {}, " ".join(process.info["cmdline"] or [])
    ray = os.environ["RAY_TMPDIR"]
    if environ.get("PREFECT_HOME") == home or ray in command:
        return True
    try:
        return command.startswith("ray::") and any(file.path.startswith(ray) for file in process.open_files())
    except psutil.Error:
        return False


def test_a_run_alone_gives_the_same_numbers_without_ray(reproduced, tmp_path):
    one = RUNS[0]
    alone = strive("run", one.id, "--store", str(tmp_path), "--json")
    assert alone.code == 0, alone.err
    with_ray = open_store(str(reproduced[0])).read_json(RunFolder(one.id).result)
    assert (
        open_store(str(tmp_path)).read_json(RunFolder(one.id).result)["digests"]["model"]
        == with_ray["digests"]["model"]
    )
    assert alone.json["wrong"] == with_ray["wrong"]
