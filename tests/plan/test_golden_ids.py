"""Ids and folders that stored runs have: they change for no rename, move or rewrite.

One digest a study, over the ids of all runs it may train with five seeds (all, large and imagenet: their own number),
one id of each spelled out; and the folder of every prepared data set.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.plan.studies import STUDIES, study
from pipeline.store.paths import DatasetFolder

GOLDEN = json.loads((Path(__file__).parent / "golden_ids.json").read_text())


def ids(name: str) -> list[str]:
    seeds = {"all": None, "large": None, "imagenet": None}.get(name, 5)
    return [e.id for e in study(name, seeds).wanted]


def test_every_study_has_a_golden_digest():
    assert set(GOLDEN["studies"]) == set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_no_id_of_a_study_has_changed(name):
    found = ids(name)
    digest = hashlib.sha256("\n".join(found).encode()).hexdigest()
    assert {"runs": len(found), "sha256": digest, "first": found[0], "last": found[-1]} == GOLDEN["studies"][name]


def test_a_run_on_imagenet_from_before_its_order_had_streams_keeps_its_id():
    [now] = study("imagenet").experiments
    assert (
        replace(now, recipe=replace(now.recipe, streams=1)).id
        == "imagenet-all-cnn-b.imagenet.augmented.lr0.01.s0.0d502c67"
    )


def test_no_folder_of_a_data_set_has_changed():
    every = {(e.dataset, e.recipe.preprocess) for name in STUDIES for e in study(name).wanted}
    assert sorted(DatasetFolder(*made).top for made in every) == GOLDEN["datasets"]
