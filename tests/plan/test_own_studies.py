"""Studies from files of one's own: they fit together or are refused by their line, and ours stay as they are."""

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.evaluation import table_claims
from pipeline.paper.networks import NETWORKS, TWELVE, narrow
from pipeline.paper.recipes import CIFAR, CIFAR_AUGMENTED
from pipeline.paper.recipes import LARGE as LARGE_RECIPE
from pipeline.plan import study_files
from pipeline.plan.datasets import DATASETS
from pipeline.plan.experiment import experiment
from pipeline.plan.one_run import one_run
from pipeline.plan.own_claims import Printed, alike, better
from pipeline.plan.own_study import OwnStudy, named
from pipeline.plan.studies import STUDIES, every_study, study
from pipeline.plan.study import Relation
from pipeline.plan.usual import with_epochs
from pipeline.records.result import Result

EXAMPLE = Path(__file__).parents[2] / "docs/my_study.py"
C = TWELVE["all-cnn-c"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    monkeypatch.setenv(study_files.VARIABLE, "")


def written(tmp_path, text, name="mine.py"):
    file = tmp_path / name
    file.write_text(f"from pipeline.own import *\n{text}")
    return file


def test_the_example_is_found_by_its_file_and_by_its_name():
    assert study_files.add(str(EXAMPLE), STUDIES) == "kernels"
    found = study("kernels")
    assert (found.relation, found.file) == (Relation.OWN, "my_study.py")
    assert Path(found.on_command_line).resolve() == EXAMPLE.resolve()
    assert [e.network.name for e in found.experiments] == ["all-cnn-c", "all-cnn-c-5x5"]
    assert len(study("kernels", 3).experiments) == 6
    assert [c.size for c in found.experiments[1].network.convs] == [5, 5, 5, 5, 5, 5, 3, 1, 1]
    [claim] = found.claims
    assert (claim.comparisons[0].left.dataset, claim.comparisons[0].high) == ("digits", 0.0)


def test_nothing_of_ours_changes(tmp_path):
    before = {name: [e.id for e in make(1).wanted] for name, make in STUDIES.items() if name != "all"}
    study_files.add(str(EXAMPLE), STUDIES)
    assert {name: [e.id for e in study(name, 1).wanted] for name in before} == before
    assert "all-cnn-c-5x5" not in NETWORKS
    assert set(every_study()) - set(STUDIES) == {"kernels"}


def test_workers_get_plain_values_alone():
    study_files.add(str(EXAMPLE), STUDIES)
    for e in study("kernels").experiments:
        assert experiment(e.plain()) == e


def test_a_network_gets_the_classes_and_the_side_of_the_data():
    own = OwnStudy("two", "?", [C], data=["cifar10", "cifar100"]).planned()
    assert [e.network.classes for e in own.experiments] == [10, 100]
    wide = replace(DATASETS["cifar10"], name="wide", side=48, sha256=None)
    [e] = OwnStudy("wide", "?", [C], data=wide).planned().experiments
    assert (e.network.side, e.network.layers) == (48, C.layers)


def test_networks_recipes_rates_and_seeds_are_multiplied():
    slow = (named(C, "all-cnn-c-b256"), replace(CIFAR, batch=256))
    own = OwnStudy(
        "product", "?", ["All-CNN-C", slow], learning_rates=[0.1, 0.05], seeds=2, validation="cifar10-held-out"
    )
    planned = own.planned()
    assert len(planned.experiments) == 2 * 2 * 2
    assert len(planned.search) == 2 * 2
    assert {e.recipe.batch for e in planned.experiments if e.network.name == "all-cnn-c-b256"} == {256}
    [one] = OwnStudy("alone", "?", ["all-cnn-c"]).planned().experiments
    assert one.id in {e.id for e in study("table-3").experiments}  # what is named by its usual values is the paper's


def test_numbers_in_print_and_sentences_are_of_the_studys_rows():
    printed = Printed("all-cnn-c", 9.08, "Springenberg et al. 2015")
    own = OwnStudy(
        "beside", "?", ["all-cnn-c"], claims={"It is as good.": alike("all-cnn-c", printed)}, beside=[printed]
    )
    planned = own.planned()
    assert planned.published_errors[0].error == 9.08
    assert planned.claims[0].comparisons[0].right.who == "Springenberg et al. 2015"


def test_sentences_are_of_what_the_study_trains_augmented_or_not():
    both = {"networks": ["all-cnn-c", "model-a"], "claims": {"It is better.": better("all-cnn-c", than="model-a")}}
    beside = [Printed("ALL-CNN-C", 7.25, "they"), Printed("Model A", 12.0, "they")]
    planned = OwnStudy("mine", "?", recipe=CIFAR_AUGMENTED, beside=beside, **both).planned()
    [comparison] = planned.claims[0].comparisons
    assert [comparison.left.augmented, comparison.right.augmented, planned.published_errors[0].augmented] == [True] * 3
    results = {e.id: Result(outcome="done", attempt=1, wrong=800 + e.seed, seen=10_000) for e in planned.experiments}
    [row] = table_claims.claim_rows(planned, results)
    assert (row["n"], row["effect"]) == (1, 0)
    for where, says in (
        ({"augmented": False}, "does not train all-cnn-c without augmentation"),
        ({"data": "cifar100"}, "does not train all-cnn-c on cifar100"),
    ):
        both["claims"] = {"It is better.": better("all-cnn-c", than="model-a", **where)}
        with pytest.raises(UserError, match=says):
            OwnStudy("mine", "?", recipe=CIFAR_AUGMENTED, **both)
    with pytest.raises(UserError, match="has several data sets: say which with data="):
        OwnStudy("mine", "?", ["all-cnn-c"], ["cifar10", "cifar100"], beside=beside[:1])
    twice = ["all-cnn-c", ("all-cnn-c", CIFAR_AUGMENTED)]
    with pytest.raises(UserError, match="with and without augmentation: say augmented="):
        OwnStudy("mine", "?", twice, beside=beside[:1])
    said = [Printed("all-cnn-c", 7.25, "they", augmented=True)]
    assert OwnStudy("mine", "?", twice, beside=said).planned().published_errors[0].augmented


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "mine.py makes no study"),
        ("\nx = y", "mine.py, line 3: NameError"),
        ("def (", "mine.py, line 2: SyntaxError"),
        ("raise SystemExit", "mine.py, line 2: SystemExit"),
        ("s = OwnStudy('digits', '?', ['all-cnn-c'])", "digits is the name of a study of strive's own"),
        ("s = OwnStudy('My Study', '?', ['all-cnn-c'])", "line 2: the study's name 'My Study' must be"),
        ("s = OwnStudy('a', '?', ['all-cnn-d'])", "line 2: unknown network 'all-cnn-d'"),
        ("s = OwnStudy('a', '?', ['all-cnn-c'], data='cifar11')", "unknown data set 'cifar11'"),
        ("c = network('all-cnn-c')\ns = OwnStudy('a', '?', [c, narrow(c, 2)])", "line 3: two rows of the study"),
        ("s = OwnStudy('a', '?', ['all-cnn-c', 'all-cnn-c'])", "a run is listed twice"),
        ("s = OwnStudy('a', '?', [])", "has no runs"),
        ("n = narrow(network('all-cnn-c'), 5)", "line 2: ValueError: the widths"),
        ("s = OwnStudy('a', '?', ['model-a'], claims={'b': better('model-b', than='model-a')})", "of this study"),
        ("s = OwnStudy('a', '?', [Network('n', 32, (Conv(3, 8, 40), Conv(5, 10, pad=0)))])", "n cannot be trained on"),
        ("a = OwnStudy('a', '?', ['model-a'])\nb = OwnStudy('b', '?', ['model-a'])", "mine.py has the studies a, b"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_work_is_refused_by_its_line(tmp_path, text, says):
    with pytest.raises(UserError) as refused:
        study_files.add(str(written(tmp_path, text)), STUDIES)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_and_two_of_one_name(tmp_path):
    with pytest.raises(UserError, match=r"cannot read the study .*none.py: No such file"):
        study_files.add(str(tmp_path / "none.py"), STUDIES)
    for name in ("a.py", "b.py"):
        written(tmp_path, "s = OwnStudy('same', '?', ['model-a'])", name)
    study_files.add(str(tmp_path / "a.py"), STUDIES)
    with pytest.raises(UserError, match="both have a study same"):
        study_files.add(str(tmp_path / "b.py"), STUDIES)


def test_a_path_that_would_be_read_as_two_is_refused(tmp_path):
    file = tmp_path / "a:b" / "my_study.py"
    file.parent.mkdir()
    file.write_text(EXAMPLE.read_text())
    with pytest.raises(UserError, match="has a ':', which separates paths in STRIVE_STUDIES"):
        study_files.add(str(file), STUDIES)


def test_one_of_several_studies_is_named_after_the_file(tmp_path):
    file = written(tmp_path, "a = OwnStudy('a', '?', ['model-a'])\nb = OwnStudy('b', '?', ['model-b'])")
    assert study_files.add(f"{file}:b", STUDIES) == "b"
    assert (study("b").file, study("b").on_command_line) == ("mine.py:b", f"{file}:b")
    assert os.environ[study_files.VARIABLE] == str(file)


def test_a_run_of_ones_own_shows_what_is_not_usual():
    one = one_run(C, DATASETS["cifar10"], "1/2", epochs=50, batch=256, learning_rate=0.05)
    assert one.id.startswith("all-cnn-c.cifar10.w2.e50.b256.lr0.05.s0.")
    assert [conv.width for conv in one.network.convs] == [48] * 3 + [96] * 5 + [10]
    assert one.recipe.lr_drops == (29, 36, 43)  # 200, 250 and 300 of 350 epochs


def test_a_run_of_ones_own_with_usual_values_is_our_studies():
    ours = {
        e.id for name in ("table-3", "digits", "quarter", "augmented", "cifar-smoke") for e in study(name, 1).wanted
    }
    for made in (
        one_run(C, DATASETS["cifar10"]),
        one_run(C, DATASETS["cifar10"], augmented=True),
        one_run(C, DATASETS["digits"], "1/12"),
        one_run(C, DATASETS["cifar10-2000"], "1/6"),
        one_run(C, DATASETS["cifar10"], "0.25", epochs=30),
    ):
        assert made.id in ours


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"width": "1/5"}, "1/2, 1/3, 1/4, 1/6, 1/8"),
        ({"width": "half"}, "not 'half'"),
        ({"width": "-1"}, "above 0"),
        ({"epochs": 0}, "at least one epoch"),
        ({"batch": 0}, "must be positive"),
        ({"learning_rate": -1.0}, "must be positive"),
        ({"learning_rate": float("nan")}, "must be positive"),
        ({"learning_rate": float("inf")}, "must be positive"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"preprocess": "zca"}, "unknown preprocessing"),
    ],
)
def test_a_run_that_cannot_be_is_refused(more, says):
    with pytest.raises(UserError, match=says):
        one_run(C, DATASETS["cifar10"], **more)


def test_a_width_may_be_any_fraction_that_leaves_whole_channels():
    assert narrow(C, Fraction(3, 2)).convs[0].width == 64


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 50, 350, 700])
def test_drops_of_a_shortened_recipe_stay_inside(epochs):
    assert all(0 < drop < epochs for drop in with_epochs(CIFAR, epochs).lr_drops)
    assert with_epochs(CIFAR, 350) == CIFAR


def test_plain_epochs_at_the_end_keep_their_share():
    """10 of 410."""
    assert [with_epochs(LARGE_RECIPE, epochs).plain_epochs for epochs in (1, 41, 205, 410)] == [0, 1, 5, 10]


def test_better_is_a_difference_below_zero():
    assert better("a", than="b") == alike("a", "b", 0.0).__class__("a", "b", None, 0.0)
