"""Damage of every kind to every kind of object: `check` names it; repair and reproduction make the study whole."""

import io
import json
import os
import random
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from support.small_store import DATA, SMOKE, numbers, objects, reproduce
from typer.testing import CliRunner

from flows.cli.app import app
from pipeline.errors import UserError
from pipeline.integrity.check import check
from pipeline.plan.studies import study
from pipeline.publication import latest
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder, StudyFolder
from pipeline.training.attempts import end_attempt

ROOT = Path(__file__).parents[2]
FIRST, SECOND = (RunFolder(e.id) for e in SMOKE.experiments)
WAYS = ("flip", "truncate", "empty", "swap")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A reproduced study with two editions."""
    folder = tmp_path_factory.mktemp("whole") / "store"
    store = open_store(str(folder))
    reproduce(store, price=1.0)
    reproduce(store)
    return folder


@pytest.fixture
def damaged(whole, tmp_path):
    """A copy of it, at the same addresses' ends; what is written there replaces files, and changes none."""
    return open_store(str(shutil.copytree(whole, tmp_path / "store", copy_function=os.link)))


def strive(*words):
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def kind_of(path):
    """Objects of one kind have one name here: runs/*/attempts/*/history.parquet"""
    path = re.sub(r"^runs/[^/]*", "runs/*", re.sub(r"/attempts/\d+", "/attempts/*", path))
    path = re.sub(r"/editions/\w+", "/editions/*", re.sub(r"/checkpoint/[\d-]+", "/checkpoint/*", path))
    return re.sub(r"/figures/.*\.", "/figures/*.", re.sub(r"^datasets/[^/]*", "datasets/*", path))


def neighbor_of(store, path):
    """Another object with the same ending and other bytes, the likeliest to be taken for it first."""
    own, ending = store.read(path), path.rsplit(".", 1)[1]
    others = [name for name in store.names("") if name.endswith(f".{ending}") and name != path]
    same_kind = [name for name in others if kind_of(name) == kind_of(path)]
    same_name = [name for name in same_kind if name.rsplit("/", 1)[1] == path.rsplit("/", 1)[1]]
    for name in (*same_name, *same_kind, *others, DATA.manifest):
        if store.read(name) != own:
            return name
    raise AssertionError(path)


def mutate(store, path, way):
    data = store.read(path)
    match way:
        case "flip":
            place = random.Random(path).randrange(len(data))
            store.write(path, data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        case "truncate":
            store.write(path, data[: len(data) * 2 // 3])
        case "empty":
            store.write(path, b"")
        case "swap":
            store.write(path, store.read(neighbor_of(store, path)))


def insist_on_a_sentence(store, path, way, *words):
    """A command that fails says the object's address, and no traceback."""
    try:
        answer = strive(*words, "--store", store.url)
    except Exception as error:  # whatever it is, a user would see its traceback
        raise AssertionError(f"{path}, {way}: `strive {' '.join(words)}` raised {error!r}") from error
    text = answer.output.replace("\n", "")
    assert "Traceback" not in text
    assert answer.exit_code in (0, 3) or store.url_of(path) in text, f"{path}, {way}: {words}: {text}"


def one_of_each_kind(folder):
    store = open_store(str(folder))
    found = {}
    for path in objects(store):
        found.setdefault(kind_of(path), path)
    return sorted(found.values())


def test_a_study_that_is_whole_has_no_fault(damaged):
    answer = strive("check", "smoke", "--store", damaged.url)
    assert (answer.exit_code, "whole" in answer.output) == (0, True)
    assert check(damaged, SMOKE, whole=False).faults == ()
    assert json.loads(strive("check", "--store", damaged.url, "--json").output)["studies"][0]["study"] == "smoke"


def test_what_others_put_beside_leases_is_no_fault(damaged):
    damaged.write(f"{FIRST.leases}/.DS_Store", b"of macOS")
    assert check(damaged, SMOKE).faults == ()


def test_no_damage_to_any_kind_of_object_is_unnoticed(whole, damaged):
    """One way for each object; the ways go round."""
    paths = one_of_each_kind(whole)
    assert len(paths) > 45
    unnoticed = []
    for number, path in enumerate(paths):
        own, way = damaged.read(path), WAYS[number % len(WAYS)]
        mutate(damaged, path, way)
        found = check(damaged, SMOKE).faults
        if not any(damaged.url_of(path) in (fault.address, *fault.what.split()) for fault in found):
            unnoticed.append((path, way))
        damaged.write(path, own)
    assert unnoticed == []
    assert check(damaged, SMOKE).faults == ()


def test_commands_say_the_address_of_what_is_damaged(damaged):
    folder = StudyFolder("smoke")
    found = latest.edition(damaged, "smoke")
    assert found
    for path in (FIRST.result, FIRST.evaluation, folder.latest, folder.files, folder.edition(found.digest, "table.md")):
        own = damaged.read(path)
        mutate(damaged, path, "truncate")
        for words in (["status", "smoke"], ["table", "smoke"], ["pull", "smoke", f"{damaged.url}-pulled"]):
            insist_on_a_sentence(damaged, path, "truncate", *words)
        assert strive("check", "smoke", "--store", damaged.url).exit_code == 1
        damaged.write(path, own)
    mutate(damaged, FIRST.result, "flip")
    assert f"{FIRST.result} is damaged" in strive("status", "smoke", "--store", damaged.url, "--json").output


def test_a_truncated_manifest_is_named_and_prepared_again(damaged):
    """And no run is blamed for it."""
    own = damaged.read(DATA.manifest)
    for path in (FIRST.result, FIRST.evaluation):
        damaged.delete(path)
    end_attempt(damaged, FIRST, 1, "settled", "a test")
    mutate(damaged, DATA.manifest, "truncate")
    with pytest.raises(UserError, match=re.escape(f"{damaged.url_of(DATA.manifest)} is damaged")):
        reproduce(damaged)
    ends = [damaged.read_json(f"{FIRST.leases}/{name}").get("how") for name in damaged.names(FIRST.leases)]
    assert "failed" not in ends
    assert strive("check", "smoke", "--repair", "--store", damaged.url).exit_code == 0
    reproduce(damaged)
    assert damaged.read(DATA.manifest) == own


@pytest.mark.parametrize("path", [FIRST.weights(1), FIRST.result, FIRST.history(1)])
def test_what_training_computed_is_set_aside_and_trained_again_with_the_same_numbers(damaged, path):
    before = numbers(damaged)
    mutate(damaged, path, "flip")
    bad = damaged.read(path)
    answer = strive("check", "smoke", "--repair", "--store", damaged.url)
    assert answer.exit_code == 0, answer.output
    assert damaged.read(path.replace(FIRST.top, f"{FIRST.top}/damaged")) == bad
    assert damaged.find(FIRST.result) is None
    reproduce(damaged)
    assert numbers(damaged) == before
    assert check(damaged, SMOKE).faults == ()


def test_weights_that_are_gone_are_a_fault_and_those_left_behind_a_note(damaged):
    damaged.delete(FIRST.weights(1))
    [fault] = check(damaged, SMOKE).faults
    assert (fault.address, fault.what) == (damaged.url_of(FIRST.weights(1)), "it is gone")
    assert check(damaged, SMOKE, whole=False).faults == (fault,)
    damaged.write_json(FIRST.not_kept, {"what": "weights", "why": "a test"})
    found = check(damaged, SMOKE)
    assert (found.faults, found.notes) == ((), ("1 run: weights are not kept in this store",))


def test_the_committed_results_have_no_fault():
    store = open_store(str(ROOT / "results"))
    assert check(store, study("readings")).faults == ()
    assert any("weights are not kept" in note for note in check(store, study("readings")).notes)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("way", WAYS)
def test_after_repair_and_reproduction_the_study_is_whole_with_the_same_numbers(whole, tmp_path, way):
    """Every kind of object in every way: 4 x 49 mutations, each from check to reproduction."""
    before, errors = numbers(open_store(str(whole))), _errors(open_store(str(whole)))
    chosen = one_of_each_kind(whole)
    assert 4 * len(chosen) >= 150
    for number, path in enumerate(chosen):
        store = open_store(str(shutil.copytree(whole, tmp_path / str(number), copy_function=os.link)))
        mutate(store, path, way)
        for words in (["status", "smoke"], ["table", "smoke"], ["pull", "smoke", str(tmp_path / "pulled")]):
            insist_on_a_sentence(store, path, way, *words)
        fixed = strive("check", "smoke", "--repair", "--store", store.url)
        assert store.url_of(path) in fixed.output, f"unnoticed: {path}, {way}"
        assert fixed.exit_code == 0, fixed.output
        reproduce(store)
        assert numbers(store) == before, f"{path}, {way}"
        assert check(store, SMOKE).faults == (), f"{path}, {way}"
        assert _errors(store) == errors, f"{path}, {way}"
        shutil.rmtree(tmp_path / str(number))
        shutil.rmtree(tmp_path / "pulled", ignore_errors=True)
    print(f"{way}: {len(chosen)} mutations")


def _errors(store):
    table = pd.read_parquet(io.BytesIO(store.read(StudyFolder("smoke").table("parquet"))))
    return table[["network", "error", "verdict"]].to_dict("records")


def test_a_result_of_a_neighbor_is_not_this_runs(damaged):
    damaged.write(FIRST.result, damaged.read(SECOND.result))
    runs = json.loads(strive("status", "smoke", "--store", damaged.url, "--json").output)["runs"]
    assert [run["state"] for run in runs] == ["damaged", "done"]
    assert numbers(damaged).keys() == {SECOND.id}


def test_a_store_without_the_study_is_not_called_whole(store):
    answer = strive("check", "smoke", "--store", store.url)
    assert answer.exit_code == 0
    assert f"`strive reproduce smoke --store {store.url}` makes it" in answer.output
