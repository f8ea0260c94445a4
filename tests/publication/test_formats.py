"""Every format holds the same table, and none of them changes unnoticed."""

import io
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from support.synthetic import BEST, made, result, results

from flows.cli import layout
from pipeline.evaluation import frames as tables
from pipeline.evaluation.schema import SCHEMA, TABLES, described
from pipeline.paper.claims import CLAIMS
from pipeline.plan.studies import study
from pipeline.publication import display, formats
from pipeline.store.objects import open_store
from pipeline.store.paths import StudyFolder


def test_people_see_an_interval_in_one_column_and_the_rules_in_the_fields_words():
    """Errors 9.0 to 9.4 over five seeds: 9.2 plus and minus t(0.975, 4) = 2.776 x 0.158 / sqrt(5) = 0.196."""
    runs = [e for e in study("table-3", 5).experiments if e.network.name == "all-cnn-c" and e.recipe.lr == BEST]
    shown = display.readable("cells", made(std=0.0, **{e.id: result(e, 9.0 + e.seed / 10) for e in runs})["cells"])
    row = shown[shown["network"] == "All-CNN-C"].iloc[0]
    assert (row["error %"], row["95 % CI"]) == ("9.20", "9.00 to 9.40")
    assert row["95 % CI of the difference"] == "-0.08 to +0.32"
    assert row["learning rate by"] == "paper, validation"
    assert not {"high", "to", "up to"} & set(shown)


@pytest.mark.parametrize("kind", TABLES)
def test_every_format_holds_the_same_table(kind):
    readings = study("readings", 1)  # the one study with a table of its own
    of_readings = tables.make(readings, results(readings.experiments, lambda e: 50.0, 0.1))
    table = of_readings[kind] if kind in of_readings else made()[kind]
    files = formats.files(kind, table, "table-3")
    assert list(table.columns) == [c.name for c in TABLES[kind]]
    read = pd.read_parquet(io.BytesIO(files["parquet"]))
    pd.testing.assert_frame_equal(read, table)
    rows = json.loads(files["json"])
    assert (rows["schema"], rows["table"]) == (SCHEMA, kind)
    assert rows["rows"] == display.records(table)
    csv = pd.read_csv(io.BytesIO(files["csv"]), keep_default_na=False)
    assert csv.shape == table.shape
    numbers = [c.name for c in TABLES[kind] if c.type == "number"]
    for name in numbers:
        np.testing.assert_array_equal(pd.to_numeric(csv[name]).to_numpy(), table[name].to_numpy())
    people = len(display.readable(kind, table))
    assert len(files["md"].decode().splitlines()) == people + 2
    assert files["html"].decode().count("<tr") == people + 1
    tex = files["tex"].decode()
    body = tex.split(r"\endlastfoot" if "longtable}" in tex.split("usepackage[T1]")[1] else r"\midrule")[1]
    body = body.split(r"\end{longtable}")[0].split(r"\bottomrule")[0]
    assert body.count(r"\\") == {"claims": len(CLAIMS)}.get(kind, people)  # of a claim the verdict alone


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX is installed")
@pytest.mark.parametrize(("name", "rows"), [("table-3", "alike"), ("table-3", "differing"), ("all", "alike")])
def test_what_is_printed_fits_the_page(name, rows, tmp_path):
    """Witness: LaTeX complains of every line and every page that is too full."""
    study_ = study(name)

    def truth(e):
        best = 0.1 if rows == "differing" and e.dataset.name == "cifar10-held-out" else BEST
        return 10 + 20 * abs(e.recipe.lr - best)

    inputs = ""
    for kind, table in tables.make(study_, results(study_.read, truth, 0.1)).items():
        (tmp_path / f"{kind}.tex").write_bytes(formats.files(kind, table, name)["tex"])
        inputs += rf"\input{{{kind}.tex}}\clearpage"
    head = r"\documentclass{article}\usepackage{array,booktabs,longtable}\begin{document}"
    (tmp_path / "all.tex").write_text(rf"{head}{inputs}\end{{document}}")
    words = ["pdflatex", "-interaction=nonstopmode", "all.tex"]
    for _ in range(3):  # a long table finds its widths by and by
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert not re.findall(
        r"^(?:Overfull.*|.*Float too large.*|.*Warning.*Table widths.*|!.*)", done.stdout, re.MULTILINE
    )


@pytest.mark.parametrize("kind", sorted(set(TABLES) - {"readings"}))
def test_a_printed_table_scales_nothing_and_says_what_stands_there(kind):
    text = formats.files(kind, made()[kind], "table-3")["tex"].decode()
    assert "resizebox" not in text
    assert "% needs" in text.splitlines()[0]
    assert "cifar10" not in text
    caption = text[text.index(r"\caption{") : text.index(r"\label{")]
    assert "(study table-3)" in caption
    if kind == "cells":
        assert "95\\,\\% confidence interval" in caption
        assert "data: CIFAR-10" in caption
        assert re.search(r"All-CNN-C & .* & \d+\.\d\d to \d+\.\d\d & reproduced", text)


def test_the_same_results_give_the_same_bytes():
    one, two = (formats.files("cells", made()["cells"], "table-3") for _ in range(2))
    assert one == two


def test_parquet_says_its_schema():
    file = formats.files("cells", made()["cells"], "table-3")["parquet"]
    metadata = pyarrow.parquet.read_schema(io.BytesIO(file)).metadata
    assert metadata[b"strive.schema"] == str(SCHEMA).encode()


def test_the_schema_is_what_it_was():
    """Who renames, retypes or drops a column raises SCHEMA, says why there, and writes the new list here."""
    names = {kind: [f"{c['name']}:{c['type']}" for c in columns] for kind, columns in described()["tables"].items()}
    assert SCHEMA == 2
    assert names["rates"] == [
        "network:text", "dataset:text", "augmented:flag", "lr:number", "held_out_error:number", "first_error:number",
        "error:number", "seeds:count", "outcomes:text", "by_paper:flag", "by_held_out:flag", "flatters:number",
        "because:text",
    ]  # fmt: skip
    assert names["cells"] == [
        "network:text", "dataset:text", "augmented:flag", "rule:text", "lr:number", "paper_error:number",
        "error:number", "std:number", "seeds:count", "low:number", "high:number",
        "difference:number", "difference_low:number", "difference_high:number", "verdict:text", "because:text",
        "interval:text", "outcomes:text", "parameters:count", "paper_parameters:text", "epochs:count", "seconds:number",
        "device_seconds:number", "wasted_seconds:number", "cost:number", "devices:text", "modes:text", "commits:text",
        "raw_sha256:text", "revision:count", "whitening_sha256:text", "runs:text", "paper_support:text",
    ]  # fmt: skip
    assert names["claims"] == [
        "claim:count", "sentence:text", "rule:text", "comparison:text", "holds_when:text", "effect:number",
        "low:number", "high:number", "interval:text", "n:count", "p:number", "p_against:number",
        "comparison_verdict:text", "verdict:text", "because:text", "runs:text",
    ]  # fmt: skip
    assert names["neighbours"] == [
        "panel:text", "method:text", "source:text", "error:number", "low:number", "high:number", "seeds:count",
        "parameters:text", "support:text", "verdict:text",
    ]  # fmt: skip


def test_a_bar_in_a_sentence_ends_no_cell():
    """Sentences of a study of your own are what a person wrote."""
    said = "A | B\nmake as few errors"
    table = tables.frame([{"claim": 1, "sentence": said, "verdict": "holds"}], TABLES["claims"])
    text = display.markdown("claims", table)
    assert [line.count("|") - line.count(r"\|") for line in text.splitlines()] == [4] * 3
    narrow = layout.markdown(text, at_most=20)
    assert "in words A | B make as few errors" in narrow
    assert "claim's verdict holds" in narrow


def test_the_line_that_reads_a_table_is_python_whatever_the_path(tmp_path, monkeypatch):
    store = open_store(str(tmp_path / 'a "quoted" \\ path'))
    monkeypatch.setattr(pd, "read_parquet", lambda path: path)
    path = eval(formats.pandas_line(store, "smoke"), {"pd": pd})
    assert path == store.url_of(StudyFolder("smoke").table("parquet"))


def test_a_difference_of_nothing_has_no_sign_of_its_own():
    [column] = [column for column in TABLES["cells"] if column.name == "difference"]
    assert [display.format_value(column, value) for value in (-0.001, 0.0, 0.001, -1.5)] == [
        "+0.00",
        "+0.00",
        "+0.00",
        "-1.50",
    ]
