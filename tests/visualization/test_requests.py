"""Which pictures are asked for: of which runs, images and layers, and what cannot be drawn."""

from types import SimpleNamespace

import pytest
import torch
from support.looked import TEST, experiment

from pipeline.errors import UserError
from pipeline.evaluation import table_errors
from pipeline.paper.layers import Conv
from pipeline.paper.networks import IMAGENET, Network
from pipeline.plan.studies import study
from pipeline.records.result import Digests, Result
from pipeline.visualization import render
from pipeline.visualization.catalogue import (
    RenderRequest,
    check_request,
    chosen_runs,
    missing,
    parse_images,
    pictures,
)
from pipeline.visualization.explained_model import ExplainedModel

ONE = experiment()
NONE = Digests(model="", dataset="")


def result_of(wrong, seen):
    return Result(outcome="done", attempt=1, wrong=wrong, seen=seen)


def test_images_are_named_in_three_ways():
    assert parse_images("10") == 10
    assert parse_images("0:5") == (0, 1, 2, 3, 4)
    assert parse_images("7,3, 10:16:2,3") == (7, 3, 10, 12, 14)
    for text in ("", "x", "5:", "-3", "0:5:0", "9:3", "1.5"):
        with pytest.raises(UserError, match="--images"):
            parse_images(text)


def test_blocks_end_at_the_hundreds_so_that_a_longer_list_finds_them_again():
    short, long = (
        {p.name(NONE) for p in pictures(ONE.network, RenderRequest(tuple(range(n)), kinds=("maps",)))}
        for n in (200, 300)
    )
    assert len(short) == 2 * 4
    assert short < long


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"methods": ("guidde",)}, "Did you mean guided"),
        ({"methods": ()}, "--methods names no method"),
        ({"part": "trian"}, "Did you mean train"),
        ({"precision": "bfloat"}, "Did you mean bfloat16"),
        ({"kinds": ("pattern",)}, "Did you mean patterns"),
        ({"top": 0}, "--top"),
        ({"layers": ("conv99",)}, "unknown layer 'conv99'"),
        ({"images": 0}, "--images 0"),
        ({"images": 101}, "0:1000"),
        ({"images": TEST + 1}, f"has {TEST} test images"),
        ({"images": (3, TEST)}, f"no image {TEST}"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, hint):
    with pytest.raises(UserError, match=hint):
        check_request([ONE], RenderRequest(**change))


def test_of_a_tables_runs_the_chosen_rate_and_lowest_seed_are_shown():
    digits = study("digits", 3)
    results = {e.id: result_of(3, 355) for e in digits.experiments if e.seed > 0}
    assert [e.seed for e in chosen_runs(digits, results)] == [1] * 12
    table = study("table-3", 1)
    some = {
        e.id: Result(outcome="done", attempt=1, wrong=int(1000 * e.recipe.lr), seen=1000) for e in table.experiments
    }
    best = chosen_runs(table, some)
    assert len(best) == 12
    assert {e.recipe.lr for e in best} == {0.01}


def test_the_layers_of_figure_3_are_those_of_its_network():
    asked = pictures(IMAGENET, RenderRequest(kinds=("strongest",)))
    assert list(dict.fromkeys(picture.layer for picture in asked)) == ["conv6", "conv9"]


def test_images_are_taken_of_every_class_in_turn():
    labels = torch.tensor([1, 1, 0, 2, 0, 1])
    subject = SimpleNamespace(_data=SimpleNamespace(test_pixels=SimpleNamespace(labels=labels)))
    assert ExplainedModel.of_every_class(subject, 5) == [2, 0, 3, 4, 1]
    assert ExplainedModel.of_every_class(subject, 99) == [2, 0, 3, 4, 1, 5]


def test_a_picture_without_its_note_is_not_there():
    """As a drawing leaves it that was killed before the note, which comes last."""
    asked = pictures(ONE.network, RenderRequest())
    store = SimpleNamespace(names=lambda _folder: [f"{picture.name(NONE)}.png" for picture in asked])
    assert missing(store, ONE, NONE, RenderRequest()) == asked


def test_no_picture_is_asked_for_twice():
    twice = RenderRequest(layers=("conv1", "conv1"), methods=("guided", "guided"))
    assert pictures(ONE.network, twice) == pictures(ONE.network, RenderRequest(layers=("conv1",), methods=("guided",)))
    found = pictures(
        Network("one", 8, (Conv(3, 10),)), RenderRequest()
    )  # its only layer is half the way and three quarters
    assert len(found) == len(set(found))


def test_of_a_study_of_several_each_part_chooses_its_own_rate():
    """Held-out errors are lowest at 0.01, the test errors of every part at 0.05: no picture is of a run at 0.01."""
    whole = study("all", 1)
    best = {e.id: 0.01 if e.dataset.name == "cifar10-held-out" else 0.05 for e in whole.wanted}
    results = {e.id: result_of(100 if e.recipe.lr == best[e.id] else 900, 1000) for e in whole.wanted}
    for e in whole.wanted:
        if e.dataset.name == "cifar10-held-out":
            results[e.id] = result_of(50 if e.recipe.lr == 0.01 else 900, 1000)
    drawn = chosen_runs(whole, results)
    assert {e.recipe.lr for e in drawn if e.dataset.name.startswith("cifar") and e.network.name != "large-all-cnn"} == {
        0.05
    }
    rows = table_errors.error_rows(whole, results)
    assert len(drawn) == len({(r["network"], r["dataset"], r["augmented"]) for r in rows})


def test_small_work_stays_in_this_process_and_large_work_is_split():
    assert render.is_small([(ONE, pictures(ONE.network, RenderRequest()))])
    full = study("table-3", 1).experiments[0]
    many = RenderRequest(tuple(range(2000)), kinds=("maps", "strongest"))
    work = [(full, pictures(full.network, many))]
    assert not render.is_small(work)
    portions = list(render._portions(work))
    assert sorted(p.name(NONE) for _, part in portions for p in part) == sorted(p.name(NONE) for p in work[0][1])
    assert len(portions) == 2000 // (100 * render.BLOCKS) + 1
