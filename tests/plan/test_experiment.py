"""Laws: an id is its content, all of it, and nothing else."""

import json
from dataclasses import fields, replace

import pytest

from pipeline.errors import UserError
from pipeline.paper.augmentations import Crop, Distort, Shift
from pipeline.paper.layers import Conv
from pipeline.paper.networks import TWELVE, narrow
from pipeline.paper.recipes import Recipe, Scale, Whiten
from pipeline.plan.datasets import DATASETS
from pipeline.plan.experiment import PLAIN, Experiment, experiment
from pipeline.plan.plain_form import FORMS

ONE = Experiment(TWELVE["all-cnn-c"], DATASETS["cifar10"], Recipe(lr=0.05))


def test_an_id_is_readable_first_and_unique_last():
    readable, _, digest = ONE.id.rpartition(".")
    assert readable == "all-cnn-c.cifar10.lr0.05.s0"
    assert len(digest) == 8
    assert ONE.id == replace(ONE, seed=0).id


CHANGES = {
    "lr": 0.1, "epochs": 351, "lr_drops": (100, 200), "batch": 64, "momentum": 0.8, "weight_decay": 0.0,
    "initialization": "xavier", "preprocess": Whiten(zca_epsilon=0.2), "epoch_images": 10, "lr_decay": 0.1,
    "nesterov": True,
    "augment": Shift(), "plain_epochs": 1, "score_bias": 0.1,
}  # fmt: skip


def test_every_field_of_the_recipe_is_changed_below():
    assert {*CHANGES, "streams"} == {field.name for field in fields(Recipe)}


@pytest.mark.parametrize("field", CHANGES)
def test_any_change_of_the_recipe_is_another_experiment(field):
    assert replace(ONE, recipe=replace(ONE.recipe, **{field: CHANGES[field]})).id != ONE.id


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, seed=1),
        replace(ONE, revision=ONE.revision + 1),
        replace(ONE, dataset=replace(ONE.dataset, sha256="0" * 64)),
        replace(ONE, network=replace(ONE.network, layers=(*ONE.network.layers[:-1], Conv(1, 10, relu=False)))),
    ],
    ids=["seed", "revision", "raw data", "one layer"],
)
def test_seed_revision_data_and_layers_are_part_of_it(other):
    assert other.id != ONE.id


def test_streams_are_part_of_it_where_data_lie_in_shards_and_refused_elsewhere():
    sharded = replace(ONE, dataset=replace(ONE.dataset, shard=256))
    eight = replace(sharded, recipe=replace(ONE.recipe, streams=8))
    assert eight.id != sharded.id
    assert eight.plain()["recipe"]["streams"] == 8
    assert "streams" not in sharded.plain()["recipe"]  # runs of one stream are older than the field
    with pytest.raises(ValueError, match="cifar10 lies in one piece"):
        replace(ONE, recipe=replace(ONE.recipe, streams=8))
    with pytest.raises(ValueError, match="streams must be 1 or more, and 1 beside flipped copies"):
        replace(ONE.recipe, streams=8, augment=Shift(flip="copies"))


@pytest.mark.parametrize("how", [None, Shift(fill="edge"), Distort(field=32), Crop(window=32)], ids=repr)
@pytest.mark.parametrize("preprocess", [Whiten(), Scale()], ids=repr)
def test_an_experiment_comes_back_from_its_json(how, preprocess):
    one = replace(ONE, recipe=replace(ONE.recipe, augment=how, preprocess=preprocess))
    assert experiment(json.loads(json.dumps(one.plain()))) == one


def test_an_experiment_of_another_version_is_refused():
    with pytest.raises(UserError, match="another version"):
        experiment(ONE.plain() | {"mood": "good"})


def test_a_number_that_is_infinite_is_refused():
    distort = Distort(angle=float("inf"))
    network, recipe = replace(ONE.network, side=distort.field), replace(ONE.recipe, augment=distort)
    with pytest.raises(UserError, match="is infinite or no number"):
        _ = replace(ONE, network=network, recipe=recipe).id


def test_a_network_must_fit_its_data():
    with pytest.raises(ValueError, match="10 classes of 64 px"):
        replace(ONE, network=replace(ONE.network, side=64))
    with pytest.raises(ValueError, match="seed"):
        replace(ONE, seed=-1)


def test_an_unusual_width_length_or_batch_shows_in_the_id():
    short = replace(ONE, network=narrow(ONE.network, 4), recipe=replace(ONE.recipe, epochs=30, lr_drops=(), batch=256))
    assert short.id.startswith("all-cnn-c.cifar10.w4.e30.b256.lr0.05.s0.")


def test_the_names_in_json_cover_every_field_of_every_kind():
    """A field without a name of its own would not be part of the id."""
    for form in (*FORMS, PLAIN):
        assert set(form.keys) == {field.name for field in fields(form.kind)}, form.kind
        assert len(set(form.keys.values())) == len(form.keys)


def test_a_field_newer_than_stored_runs_is_left_out_at_the_value_they_had():
    assert "score_bias" not in ONE.plain()["recipe"]
    assert experiment(ONE.plain()).recipe.score_bias == 0.0
