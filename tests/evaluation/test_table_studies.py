"""The tables of errors of our studies: which numbers in print they stand beside, and which they do not."""

import pandas as pd
from support.synthetic import BEST, TABLE_3, cell_of, claims, made, results

from pipeline.evaluation import frames as tables
from pipeline.evaluation.headline import headline
from pipeline.paper.published_errors import published_error
from pipeline.plan.studies import study
from pipeline.publication.display import records


def test_on_another_task_nothing_is_decided():
    digits = study("digits", 5)
    made_ = tables.make(digits, results(digits.experiments, lambda e: 3.0, 0.1))
    assert set(made_["cells"]["verdict"]) == {"not comparable"}
    assert made_["cells"]["difference"].isna().all()
    assert set(made_["cells"]["rule"]) == {"one rate"}
    assert made_["claims"].empty
    assert headline(digits, {"cells": records(made_["cells"]), "claims": []}).startswith(
        "12 of 12 networks learned, median error 3.0"
    )
    nothing = tables.make(digits, {})
    assert headline(digits, {"cells": records(nothing["cells"]), "claims": []}).startswith("not known yet")


def test_the_headline_counts_networks_that_have_one_rate_beside_those_that_have_several():
    """25: twelve of Table 3, All-CNN-C augmented and on CIFAR-100 twice, eight ablations, the large one, ImageNet's."""
    whole = study("all", 1)
    made_ = tables.make(whole, results(whole.read, lambda e: 10.0 + 10 * abs(e.recipe.lr - BEST), 0.0))
    assert len(made_["cells"].drop_duplicates(["network", "dataset", "augmented"])) == 25
    said = headline(whole, {kind: records(table) for kind, table in made_.items()})
    assert said.startswith("25 of 25 networks learned, median error 10.00 %, worst 10.48 %")


def test_before_a_learning_rate_can_be_chosen_the_headline_tells_the_errors_so_far():
    quarter = study("quarter", 5)
    seed_0 = [e for e in quarter.wanted if (e.seed, e.recipe.lr) == (0, BEST) and e.network.name != "model-a"]
    errors = {e.id: 19.0 + number for number, e in enumerate(seed_0)}
    made_ = tables.make(quarter, results(seed_0, lambda e: errors[e.id], 0.0))
    said = headline(quarter, {kind: records(table) for kind, table in made_.items()})
    assert said == (
        "not known yet: every network lacks runs; so far 11 of 12 have an error at one learning rate or more, "
        "19.00 to 29.00 %"
    )
    whole = [e for e in quarter.wanted if e.seed == 0 and e.network.name == "model-a"]
    made_ = tables.make(quarter, results([*seed_0, *whole], lambda e: errors.get(e.id, 30.0 + e.recipe.lr), 0.0))
    said = headline(quarter, {kind: records(table) for kind, table in made_.items()})
    assert said.startswith("1 of 12 networks learned (11 unfinished), median error 30.0")
    assert "; so far 12 of 12 have an error at one learning rate or more, 19.00 to 30.2" in said


def test_at_a_smaller_scale_our_own_networks_are_compared_and_no_error_is_held_against_print():
    """Errors far above the paper's, in its order: what compares two networks holds, what names a number is left out."""
    quarter = study("quarter", 5)

    def truth(e):
        return 20 + published_error(e.network.name).error + (0 if e.recipe.lr == BEST else 5)

    made_ = tables.make(quarter, results(quarter.wanted, truth, 0.05))
    assert set(made_["cells"]["verdict"]) == {"not comparable"}
    assert made_["cells"]["difference"].isna().all()
    verdicts = claims(made_)
    assert {number: verdicts[number] for number in (1, 2, 3, 4, 6, 7)} == {
        1: "not comparable", 2: "holds at this scale", 3: "holds at this scale", 4: "holds at this scale",
        6: "holds at this scale", 7: "not comparable",
    }  # fmt: skip
    because = made_["claims"].query("claim == 5")["because"].iloc[0]
    assert because.startswith("at a quarter of the width, 30 of 350 epochs: ")
    assert "comparisons with numbers in print are left out (1)" in because
    assert not made_["claims"]["comparison"].str.contains("Deeply").any()


def test_what_has_not_run_is_said():
    row = cell_of(tables.make(TABLE_3, {}))
    assert row["verdict"] == "not run"
    assert "cannot choose" in row["because"]
    assert pd.isna(row["error"])
    assert row["paper_error"] == 9.08


def test_table_4_has_the_papers_row_and_ours():
    rows = made(std=0.05)["neighbours"]
    panel = rows[rows["panel"] == "CIFAR-10 without augmentation"]
    assert panel["error"].iloc[:4].tolist() == [11.68, 10.41, 9.69, 9.08]
    ours = panel[panel["source"].str.startswith("this reproduction")]
    assert panel["method"].iloc[3:].tolist() == ["ALL-CNN (Ours)", *["ALL-CNN, reproduced"] * 2]
    assert ours["verdict"].tolist() == ["reproduced", "reproduced"]
    for other in ("CIFAR-100", "CIFAR-10 with augmentation"):  # of the same network, and not trained
        assert rows[rows["panel"] == other].iloc[-1]["verdict"] == "not run"


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
    assert claims(found, "held-out").keys() == claims(found).keys()
    assert "not run" not in claims(found, "held-out").values()  # where there is one rate, either rule has it


def test_the_large_network_is_compared_with_a_recipe_of_our_choice_and_that_is_said():
    large = study("large", 5)
    found = tables.make(large, results(large.wanted, lambda e: 4.41, 0.02))
    [row] = found["cells"].to_dict("records")
    assert (row["verdict"], row["paper_support"]) == ("reproduced", "memory")
    assert "another author's" in row["because"]
    assert "another author's" in found["claims"].query("claim == 11")["because"].iloc[0]


def test_nothing_was_chosen_on_the_errors_of_cifar_100():
    hundred = study("cifar-100")
    rates = tables.make(hundred, results(hundred.wanted, lambda e: 30.0 + e.recipe.lr, 0.1))["rates"]
    assert rates["by_paper"].any()
    assert rates["flatters"].isna().all()
    assert rates["held_out_error"].isna().all()
