"""Studies whose truth is known: the verdicts come out as they must; what is missing, broken or mixed is said."""

import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from runs.synthetic import result, results

from pipeline.paper.claims import claimed
from pipeline.paper.networks import TWELVE
from pipeline.paper.statements import STATEMENTS
from pipeline.plan.choose import needed
from pipeline.plan.studies import study
from pipeline.runs.store import RunFolder
from pipeline.runs.tables import formats, scorecard, shown
from pipeline.runs.tables import frames as tables
from pipeline.runs.tables.columns import SCHEMA, TABLES, described
from pipeline.runs.tables.intervals import Count, from_number
from pipeline.runs.tables.results import Run, collect
from pipeline.runs.tables.verdicts import settle

TABLE_3 = study("table-3", 5)
BEST = 0.05  # the learning rate that both rules choose below


def papers(shift=0.0, **moved):
    """The paper's error for every network at the best rate, 20 points more at the others."""

    def truth(e):
        at = claimed(e.network.name).error + shift + moved.get(e.network.name.replace("-", "_"), 0.0)
        return at if e.recipe.lr == BEST else at + 20

    return truth


def made(truth=None, std=0.1, study=TABLE_3, price=None, **more):
    return tables.make(study, results(study.wanted, truth or papers(), std) | more, price)


def claims(table, rule="paper"):
    rows = table["claims"]
    return rows[rows["rule"] == rule].groupby("claim")["verdict"].first().to_dict()


@pytest.mark.parametrize(
    ("shift", "std", "verdict"),
    [
        (0, 0.2, "reproduced"),
        (0.5, 0.1, "reproduced"),
        (3, 0.2, "worse"),
        (-3, 0.2, "better"),
        (0.4, 1.5, "inconclusive"),
    ],
)
def test_the_verdict_on_a_cell_is_that_of_the_truth(shift, std, verdict):
    cells = made(papers(shift), std)["cells"]
    assert len(cells) == 24
    assert set(cells["lr"]) == {BEST}
    assert set(cells["verdict"]) == {verdict}


def test_a_row_by_hand():
    """Errors 9.0, 9.1, 9.2, 9.3, 9.4 against 9.08, and t(0.975, 4) = 2.776."""
    runs = [e for e in TABLE_3.experiments if e.network.name == "all-cnn-c" and e.recipe.lr == BEST]
    fixed = {e.id: result(e, 9.0 + e.seed / 10) for e in runs}
    cells = made(std=0.0, price=3.6, **fixed)["cells"]
    row = cells[(cells["network"] == "all-cnn-c") & (cells["rule"] == "paper")].iloc[0]
    half = 2.7764 * np.sqrt(0.025 / 5)
    assert (row["error"], row["std"], row["seeds"]) == (9.2, pytest.approx(0.1581, abs=1e-4), 5)
    assert (row["low"], row["high"]) == pytest.approx((9.2 - half, 9.2 + half), abs=1e-3)
    assert (row["difference"], row["difference_low"]) == pytest.approx((0.12, 0.12 - half), abs=1e-3)
    assert (row["parameters"], row["paper_parameters"]) == (1_369_738, "1.4 M")
    assert (row["device_seconds"], row["wasted_seconds"], row["cost"]) == (100, 25, pytest.approx(0.1))
    assert row["runs"].split() == [e.id for e in runs]


def test_a_cell_at_the_margin_is_called_reproduced_once_in_twenty():
    """The law of a test: at the edge of what it must refuse, it errs as often as it says."""
    rng, wrong = np.random.default_rng(0), 0
    claim = claimed("all-cnn-c")
    runs = [Run(e, {"outcome": "done"}) for e in TABLE_3.experiments[:5]]
    for draw in rng.normal(claim.error + 1.0, 0.2, (2_000, 5)):
        found = from_number([Count(round(1e4 * error), 1_000_000) for error in draw], claim.error)
        wrong += settle(True, claim, runs, found)[0] == "reproduced"
    assert wrong / 2_000 == pytest.approx(0.05, abs=0.012)


def test_the_claims_stand_when_the_papers_numbers_are_the_truth():
    found = claims(made(std=0.02))
    assert {n: found[n] for n in (1, 2, 3, 4, 5, 6)} == dict.fromkeys((1, 2, 3, 4, 5, 6), "holds")
    assert {n: found[n] for n in (7, 8, 9, 10, 11, 12)} == dict.fromkeys((7, 8, 9, 10, 11, 12), "not run")
    assert {found[13], found[14]} == {"no number"}
    assert list(found) == [s.number for s in STATEMENTS]


def test_a_claim_is_contradicted_by_one_comparison_that_goes_the_other_way():
    found = claims(made(papers(all_cnn_c=+2.0), std=0.05))
    assert (found[3], found[4]) == ("contradicted", "contradicted")
    assert found[2] == "holds"


def test_a_claim_without_effect_is_inconclusive():
    assert claims(made(papers(strided_cnn_c=-0.45), std=0.2))[2] == "inconclusive"


def test_many_comparisons_are_adjusted_together():
    """Holm multiplies the smallest of m p-values by m: alone it would be as small as scipy says."""
    table = made(std=0.3)["claims"]
    rows = table[(table["rule"] == "paper") & table["p"].notna()]
    once = rows.drop_duplicates(["comparison", "holds_when"])
    assert len(once) == len(rows) - 1  # "All-CNN-C below Deeply Supervised" belongs to claims 5 and 7
    found = scorecard._by_rule(TABLE_3, results(TABLE_3.wanted, papers(), std=0.3))["paper"]
    tested = [t for _, each in scorecard.decide(found) for t in each if t.difference]
    raw = min(t.difference.p_within(t.comparison.low, t.comparison.high) for t in tested)
    assert rows["p"].min() == pytest.approx(len(once) * raw, rel=1e-3)


def test_a_claim_is_not_decided_by_the_runs_that_outlived_others():
    """Six seeds of All-CNN-C, one of them crashed: the five others alone would have it hold."""
    more = study("table-3", 6)
    have = results(more.wanted, papers(), 0.05)
    assert claims(tables.make(more, have))[3] == "holds"
    lost = next(e for e in more.experiments if e.network.name == "all-cnn-c" and (e.recipe.lr, e.seed) == (BEST, 5))
    have[lost.id] |= {"outcome": "crashed"}
    found = tables.make(more, have)
    assert claims(found)[3] == "inconclusive"
    [because] = set(found["claims"].query("claim == 3 and rule == 'paper'")["because"])
    assert "1 runs of one comparison have no error" in because
    assert claims(found)[2] == "holds"


def test_sides_of_differing_revisions_are_not_compared():
    odd = {e.id: result(e, 9.08, summary={"revision": 99}) for e in _of("all-cnn-c")}
    found = made(std=0.05, **odd)
    assert _cell(found)["verdict"] == "reproduced"  # alike among themselves
    assert claims(found)[3] == "refused"
    assert "differing revision" in found["claims"].query("claim == 3")["because"].iloc[0]
    assert claims(found)[2] == "holds"


def test_a_study_reads_what_its_claims_are_held_against_and_trains_none_of_it():
    """Claims 9 and 10 compare the ablations with Table 3's networks; claim 7 is of All-CNN-C with augmentation too."""
    worse = {"all-cnn-c-dropout-all": 30.0, "all-cnn-c-dropout-1x1": 9.1}

    def truth(e):
        if e.network.name in worse:
            return worse[e.network.name] + 10 * abs(e.recipe.lr - BEST)
        plain = 7.25 if e.augmented else papers()(replace(e, network=_base(e.network)))
        return plain + (0.8 if e.network.name.endswith("-fc") else 0)

    for name, decided in (("ablations", (9, 10)), ("augmented", (7,))):
        this = study(name)
        assert {e.id for e in this.read} - {e.id for e in this.wanted} == {e.id for e in this.beside[0].wanted}
        found = tables.make(this, results(this.read, truth, 0.02))
        assert [claims(found)[number] for number in decided] == ["holds"] * len(decided)
        assert set(found["cells"]["network"]) == {e.network.name for e in this.experiments}
        alone = claims(tables.make(this, results(this.wanted, truth, 0.02)))
        assert [alone[number] for number in decided] == ["not run"] * len(decided)


def _base(network):
    return TWELVE.get(network.name.removesuffix("-fc"), TWELVE["all-cnn-c"])


def test_on_another_task_nothing_is_decided():
    digits = study("digits", 5)
    made_ = tables.make(digits, results(digits.experiments, lambda e: 3.0, 0.1))
    assert set(made_["cells"]["verdict"]) == {"not comparable"}
    assert made_["cells"]["difference"].isna().all()
    assert set(made_["cells"]["rule"]) == {"one rate"}
    assert set(made_["claims"]["verdict"]) == {"not comparable", "no number"}
    assert made_["claims"]["effect"].notna().any()


def test_the_two_rules_stand_side_by_side_and_flattery_is_measured():
    """Test errors of seed 0 choose 0.1, by luck of 0.4 points; held-out errors choose 0.05."""

    def truth(e):
        if e.dataset.name != "cifar10":
            return 11.0 + abs(e.recipe.lr - BEST)
        return {0.1: 9.6 if e.seed == 0 else 10.0, BEST: 9.7}.get(e.recipe.lr, 12.0)

    found = made(truth, std=0.0)
    cells = found["cells"].set_index(["network", "rule"])
    assert (cells.loc[("model-a", "paper"), "lr"], cells.loc[("model-a", "held-out"), "lr"]) == (0.1, BEST)
    rates = found["rates"].set_index(["network", "lr"])
    assert rates.loc[("model-a", 0.1), "flatters"] == pytest.approx(0.4)
    assert rates.loc[("model-a", BEST), "by_held_out"]
    assert not rates.loc[("model-a", BEST), "by_paper"]
    assert len(rates) == 48


def _cell(found, network="all-cnn-c", rule="paper"):
    cells = found["cells"]
    return cells[(cells["network"] == network) & (cells["rule"] == rule)].iloc[0]


def _of(network, keep=lambda e: True):
    return [e for e in TABLE_3.experiments if e.network.name == network and keep(e)]


def test_what_has_not_run_is_said():
    row = _cell(tables.make(TABLE_3, {}))
    assert row["verdict"] == "not run"
    assert "cannot choose" in row["because"]
    assert pd.isna(row["error"])
    assert row["paper_error"] == 9.08


def test_three_seeds_decide_nothing():
    have = results(TABLE_3.wanted, papers(), 0.1)
    for e in _of("all-cnn-c", lambda e: e.seed > 2):
        del have[e.id]
    row = _cell(tables.make(TABLE_3, have))
    assert (row["verdict"], row["seeds"]) == ("inconclusive", 3)
    assert row["because"] == "3 of 5 seeds"
    assert row["outcomes"] == "3 done, 2 not run"


def test_one_run_says_that_its_interval_is_of_another_kind():
    have = results(_of("all-cnn-c", lambda e: e.seed == 0), papers(), 0.0)
    row = _cell(tables.make(TABLE_3, have))
    assert (row["verdict"], row["interval"]) == ("inconclusive", "Wilson, one run")
    assert "1 of 5 seeds" in row["because"]


def test_a_diverged_seed_is_not_forgotten():
    more = study("table-3", 6)
    have = results(more.wanted, papers(), 0.1)
    lost = next(e for e in more.experiments if e.network.name == "all-cnn-c" and (e.recipe.lr, e.seed) == (BEST, 4))
    have[lost.id] |= {"outcome": "diverged"}
    row = _cell(tables.make(more, have))
    assert (row["verdict"], row["outcomes"]) == ("inconclusive", "5 done, 1 diverged")
    assert "flatter" in row["because"]


def test_a_network_that_diverges_at_every_rate_is_called_so():
    lost = {e.id: result(e, 90.0, outcome="diverged") for e in _of("all-cnn-c", lambda e: e.seed == 0)}
    have = {k: v for k, v in results(TABLE_3.wanted, papers(), 0.1).items() if not k.startswith("all-cnn-c.cifar10.")}
    assert _cell(tables.make(TABLE_3, have | lost))["verdict"] == "diverged"


@pytest.mark.parametrize(("name", "value"), [("raw_sha256", "e" * 64), ("revision", 99)])
def test_mixed_runs_make_no_row_and_are_named(name, value):
    odd = next(e for e in _of("all-cnn-c") if (e.recipe.lr, e.seed) == (BEST, 3))
    found = made(**{odd.id: result(odd, 9.0, summary={name: value})})
    row = _cell(found)
    assert row["verdict"] == "refused"
    assert pd.isna(row["error"])
    assert f"differing {name}" in row["because"]
    assert odd.id in row["because"]
    assert _cell(found, "model-c")["verdict"] == "reproduced"
    rates = found["rates"]
    assert rates[(rates["network"] == "all-cnn-c") & (rates["lr"] == BEST)]["because"].item() == row["because"]
    assert claims(found)[3] == "refused"


def test_other_differences_of_origin_are_shown():
    odd = next(e for e in _of("all-cnn-c") if (e.recipe.lr, e.seed) == (BEST, 3))
    other = {"whitening_sha256": "0" * 64, "device": "another", "commit": "9" * 40, "dirty": True}
    row = _cell(made(**{odd.id: result(odd, 9.0, summary=other)}))
    assert row["verdict"] == "reproduced"
    assert row["devices"] == "a device, another"
    assert row["commits"] == "0123456789ab 999999999999+"
    assert len(row["whitening_sha256"].split(", ")) == 2


def test_table_4_has_the_papers_row_and_ours():
    rows = made(std=0.05)["neighbours"]
    panel = rows[rows["panel"] == "CIFAR-10 without augmentation"]
    assert panel["error"].iloc[:4].tolist() == [11.68, 10.41, 9.69, 9.08]
    ours = panel[panel["source"].str.startswith("ours")]
    assert ours["verdict"].tolist() == ["reproduced", "reproduced"]
    assert set(rows[rows["panel"] == "CIFAR-100"].tail(1)["verdict"]) == {"not run"}


def test_the_whole_paper_is_the_sum_of_its_studies():
    whole = study("all")
    found = tables.make(whole, results(whole.wanted, lambda e: 10.0, 0.01))
    keys = ["network", "dataset", "augmented", "rule"]
    assert not found["cells"].duplicated(keys).any()
    assert "cifar10-held-out" not in set(found["cells"]["dataset"])  # what only chooses rates has a column in theirs
    assert found["rates"]["held_out_error"].notna().any()
    assert {"table-3", "augmented"} <= {p.name for p in whole.parts}
    assert set(made()["cells"]["network"]) <= set(found["cells"]["network"])
    assert set(claims(found).values()) <= {"holds", "contradicted", "inconclusive", "no number"}


@pytest.mark.parametrize("kind", TABLES)
def test_every_format_holds_the_same_table(kind):
    table = made()[kind]
    files = formats.files(kind, table, "table-3")
    assert list(table.columns) == [c.name for c in TABLES[kind]]
    read = pd.read_parquet(io.BytesIO(files["parquet"]))
    pd.testing.assert_frame_equal(read, table)
    rows = json.loads(files["json"])
    assert (rows["schema"], rows["table"]) == (SCHEMA, kind)
    assert rows["rows"] == shown.records(table)
    csv = pd.read_csv(io.BytesIO(files["csv"]), keep_default_na=False)
    assert csv.shape == table.shape
    numbers = [c.name for c in TABLES[kind] if c.type == "number"]
    for name in numbers:
        np.testing.assert_array_equal(pd.to_numeric(csv[name]).to_numpy(), table[name].to_numpy())
    people = len(shown.readable(kind, table))
    assert len(files["md"].decode().splitlines()) == people + 2
    assert files["html"].decode().count("<tr") == people + 1
    body = files["tex"].decode().split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert body.count(r"\\") == {"claims": len(STATEMENTS)}.get(kind, people)  # of a claim the verdict alone


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
    head = r"\documentclass{article}\usepackage{array,booktabs,graphicx,longtable}\begin{document}"
    (tmp_path / "all.tex").write_text(rf"{head}{inputs}\end{{document}}")
    words = ["pdflatex", "-interaction=nonstopmode", "all.tex"]
    for _ in range(3):  # a long table finds its widths by and by
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert not re.findall(
        r"^(?:Overfull.*|.*Float too large.*|.*Warning.*Table widths.*|!.*)", done.stdout, re.MULTILINE
    )


def test_a_crash_says_nothing_of_a_learning_rate():
    """The best rate's run with seed 0 crashed: no other is chosen in its place."""
    have = results(TABLE_3.wanted, papers(), 0.1)
    lost = next(e for e in _of("all-cnn-c") if (e.recipe.lr, e.seed) == (BEST, 0))
    have[lost.id] = {"outcome": "crashed", "attempt": 3, "why": ["no memory"]}
    found = tables.make(TABLE_3, have)
    row = _cell(found)
    assert (row["verdict"], row["outcomes"]) == ("crashed", "3 done, 1 crashed")
    assert f"`strive retry` {lost.id}" in row["because"]
    assert pd.isna(row["lr"])
    assert claims(found)[3] == "inconclusive"
    assert needed(TABLE_3, have) == []


def test_a_network_is_called_diverged_when_all_its_rates_are():
    have = results([e for e in TABLE_3.wanted if e.network.name != "all-cnn-c"], papers(), 0.1)
    tried = [e for e in _of("all-cnn-c") if e.seed == 0]
    for e in tried[:-1]:
        have[e.id] = result(e, 90.0, outcome="diverged")
    found = tables.make(TABLE_3, have)
    assert (_cell(found)["verdict"], claims(found)[3]) == ("not run", "not run")
    assert _cell(found)["outcomes"] == "3 diverged, 1 not run"
    found = tables.make(TABLE_3, have | {tried[-1].id: result(tried[-1], 90.0, outcome="diverged")})
    assert (_cell(found)["verdict"], claims(found)[3]) == ("diverged", "inconclusive")


def test_the_large_network_is_compared_with_a_recipe_of_our_choice_and_that_is_said():
    large = study("large", 5)
    found = tables.make(large, results(large.wanted, lambda e: 4.41, 0.02))
    [row] = found["cells"].to_dict("records")
    assert (row["verdict"], row["paper_support"]) == ("reproduced", "memory")
    assert "another author's" in row["because"]
    assert "another author's" in found["claims"].query("claim == 11")["because"].iloc[0]


def test_the_ids_of_both_sides_of_a_comparison_and_what_crashed_runs_took():
    have = results(TABLE_3.wanted, papers(), 0.1)
    row = tables.make(TABLE_3, have)["claims"].query("claim == 3 and rule == 'paper'").iloc[0]
    assert set(row["runs"].split()) == {
        e.id for e in TABLE_3.experiments if e.network.name in ("all-cnn-a", "model-a") and e.recipe.lr == BEST
    }
    lost = next(e for e in _of("all-cnn-c") if (e.recipe.lr, e.seed) == (BEST, 4))
    have[lost.id] = {"outcome": "crashed", "why": [], "summary": {"device_seconds": 0.0, "wasted_seconds": 7.0}}
    row = _cell(tables.make(TABLE_3, have))
    assert (row["device_seconds"], row["wasted_seconds"], row["seconds"]) == (80, 4 * 5 + 7, 10)


def test_the_same_results_give_the_same_bytes():
    one, two = (formats.files("cells", made()["cells"], "table-3") for _ in range(2))
    assert one == two


def test_parquet_says_its_schema():
    file = formats.files("cells", made()["cells"], "table-3")["parquet"]
    metadata = pyarrow.parquet.read_schema(io.BytesIO(file)).metadata
    assert metadata[b"strive.schema"] == str(SCHEMA).encode()


def test_the_schema_is_what_it_was():
    """Whoever renames, retypes or drops a column raises SCHEMA, says why there, and writes the new list here."""
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


def test_results_are_those_the_store_holds(store):
    one, two = study("smoke").experiments
    store.write_json(RunFolder(one.id).result, result(one, 3.0))
    assert collect(store, [one, two]) == {one.id: result(one, 3.0)}


def test_a_crashed_run_has_told_no_digest_and_mixes_with_nothing():
    seeds = study("imagenet", 2).experiments  # whose data nobody has pinned
    have = {
        seeds[0].id: result(seeds[0], 41.0, summary={"raw_sha256": "a" * 64}),
        seeds[1].id: {"outcome": "crashed", "experiment_id": seeds[1].id, "attempt": 3, "why": ["no memory"]},
    }
    [cell] = tables.make(study("imagenet", 2), have)["cells"].to_dict("records")
    assert (cell["verdict"], cell["seeds"], cell["outcomes"]) == ("inconclusive", 1, "1 done, 1 crashed")


def test_nothing_was_chosen_on_the_errors_of_cifar_100():
    hundred = study("cifar-100")
    rates = tables.make(hundred, results(hundred.wanted, lambda e: 30.0 + e.recipe.lr, 0.1))["rates"]
    assert rates["by_paper"].any()
    assert rates["flatters"].isna().all()
    assert rates["held_out_error"].isna().all()


def test_what_few_runs_show_decides_no_claim():
    few = {id: r for id, r in results(TABLE_3.wanted, papers(), 0.01).items() if ".s3." not in id and ".s4." not in id}
    claims = tables.make(TABLE_3, few)["claims"]
    assert set(claims["comparison_verdict"]) - {""} == {"inconclusive", "not run"}
