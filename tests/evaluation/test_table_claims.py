"""Claims over studies whose truth is known: what holds, what is contradicted, and what decides nothing."""

from dataclasses import replace

import pytest
from support.synthetic import BEST, TABLE_3, cell_of, claims, made, of, papers, result, results

from pipeline.evaluation import frames as tables
from pipeline.evaluation import table_claims
from pipeline.paper.claims import CLAIMS
from pipeline.paper.networks import TWELVE
from pipeline.plan.studies import study
from pipeline.records.result import Result, Summary


def test_the_claims_stand_when_the_papers_numbers_are_the_truth():
    found = claims(made(std=0.02))
    assert {n: found[n] for n in (1, 2, 3, 4, 5, 6)} == dict.fromkeys((1, 2, 3, 4, 5, 6), "holds")
    assert {n: found[n] for n in (7, 8, 9, 10, 11, 12)} == dict.fromkeys((7, 8, 9, 10, 11, 12), "not run")
    assert {found[13], found[14]} == {"no number"}
    assert list(found) == [s.number for s in CLAIMS]


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
    found = table_claims._by_rule(TABLE_3, results(TABLE_3.wanted, papers(), std=0.3))["paper"]
    tested = [t for _, each in table_claims.decide(found) for t in each if t.difference]
    raw = min(t.difference.p_within(t.comparison.low, t.comparison.high) for t in tested)
    assert rows["p"].min() == pytest.approx(len(once) * raw, rel=1e-3)


def test_a_claim_is_not_decided_by_the_runs_that_outlived_others():
    """Six seeds of All-CNN-C, one of them crashed: the five others alone would have it hold."""
    more = study("table-3", 6)
    have = results(more.wanted, papers(), 0.05)
    assert claims(tables.make(more, have))[3] == "holds"
    lost = next(e for e in more.experiments if e.network.name == "all-cnn-c" and (e.recipe.lr, e.seed) == (BEST, 5))
    have[lost.id] = replace(have[lost.id], outcome="crashed")
    found = tables.make(more, have)
    assert claims(found)[3] == "inconclusive"
    [because] = set(found["claims"].query("claim == 3 and rule == 'paper'")["because"])
    assert "1 runs of one comparison have no error" in because
    assert claims(found)[2] == "holds"


def test_sides_of_differing_revisions_are_not_compared():
    odd = {e.id: result(e, 9.08 + 0.01 * e.seed, summary={"revision": 99}) for e in of("all-cnn-c")}
    found = made(std=0.05, **odd)
    assert cell_of(found)["verdict"] == "reproduced"  # alike among themselves
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
        assert {e.id for e in this.read} - {e.id for e in this.wanted} == {e.id for e in this.read_also[0].wanted}
        found = tables.make(this, results(this.read, truth, 0.02))
        assert [claims(found)[number] for number in decided] == ["holds"] * len(decided)
        assert set(found["cells"]["network"]) == {e.network.name for e in this.experiments}
        alone = claims(tables.make(this, results(this.wanted, truth, 0.02)))
        assert [alone[number] for number in decided] == ["not run"] * len(decided)


def _base(network):
    return TWELVE.get(network.name.removesuffix("-fc"), TWELVE["all-cnn-c"])


def test_the_ids_of_both_sides_of_a_comparison_and_what_crashed_runs_took():
    have = results(TABLE_3.wanted, papers(), 0.1)
    row = tables.make(TABLE_3, have)["claims"].query("claim == 3 and rule == 'paper'").iloc[0]
    assert set(row["runs"].split()) == {
        e.id for e in TABLE_3.experiments if e.network.name in ("all-cnn-a", "model-a") and e.recipe.lr == BEST
    }
    lost = next(e for e in of("all-cnn-c") if (e.recipe.lr, e.seed) == (BEST, 4))
    have[lost.id] = Result(outcome="crashed", attempt=3, summary=Summary(device_seconds=0.0, wasted_seconds=7.0))
    row = cell_of(tables.make(TABLE_3, have))
    assert (row["device_seconds"], row["wasted_seconds"], row["seconds"]) == (80, 4 * 5 + 7, 10)


def test_what_few_runs_show_decides_no_claim():
    few = {id: r for id, r in results(TABLE_3.wanted, papers(), 0.01).items() if ".s3." not in id and ".s4." not in id}
    claims = tables.make(TABLE_3, few)["claims"]
    assert set(claims["comparison_verdict"]) - {""} == {"inconclusive", "not run"}
