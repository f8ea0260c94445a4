"""Pictures from a run to the store: what is on them, what is drawn again, what a kill leaves, how far it runs ahead."""

import io
import json
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from support.looked import experiment, finish, raw

from pipeline.data import sources
from pipeline.numerics.saliency.attribution import Target
from pipeline.paper.receptive_fields import receptive_fields
from pipeline.records.result import Result
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.visualization import gallery, render, upload
from pipeline.visualization.catalogue import (
    RenderRequest,
    missing,
    picture,
    pictures,
)
from pipeline.visualization.explained_model import ExplainedModel
from pipeline.visualization.png import around_gray

ONE = experiment()
SMALL = RenderRequest(images=4, channels=2, top=3, sanity=3)


@pytest.fixture(autouse=True)
def noise(monkeypatch):
    monkeypatch.setitem(sources._SOURCES, "noise", raw)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A store with one finished run and its pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources._SOURCES, "noise", raw)
        store = open_store(str(tmp_path_factory.mktemp("store")))
        finish(store, ONE)
        rate = render.render_here(store, [(ONE, missing(store, ONE, digests(store), SMALL))])
    return store, rate


def digests(store, this=ONE):
    return store.read_record(Result, RunFolder(this.id).result).digests


def notes(store):
    run = RunFolder(ONE.id)
    return [store.read_json(run.figure(name)) for name in store.names(run.figures) if name.endswith(".json")]


def picture_of(store, note):
    return np.asarray(Image.open(io.BytesIO(store.read(RunFolder(ONE.id).figure(f"{note['name']}.png")))))


def tile(pixels, grid, row, column):
    at = [grid["gap"] + n * (grid["tile"] + grid["gap"]) for n in (row, column)]
    return pixels[at[0] : at[0] + grid["tile"], at[1] : at[1] + grid["tile"]]


def test_every_picture_has_its_note_and_nothing_is_drawn_again(finished):
    store, rate = finished
    assert len(notes(store)) == len(pictures(ONE.network, SMALL)) == rate.sheets
    assert missing(store, ONE, digests(store), SMALL) == []
    for note in notes(store):
        assert (note["run"], note["weights"]) == (ONE.id, digests(store).model)
        pixels, grid = picture_of(store, note), note["grid"]
        step = grid["tile"] + grid["gap"]
        assert pixels.shape == (grid["rows"] * step + grid["gap"], grid["columns"] * step + grid["gap"], 4)
        assert (note["scaling"] is None) == (note["method"] == "image")


def test_a_name_follows_from_what_is_shown_and_the_weights_it_was_drawn_from(finished):
    store, _ = finished
    one = pictures(ONE.network, SMALL)[0]
    assert one.name(digests(store)) != one.name(replace(digests(store), model="other"))
    assert one.name(digests(store)) != replace(one, precision="bfloat16").name(digests(store))
    assert picture(json.loads(json.dumps(one.__dict__))) == one
    more = missing(store, ONE, digests(store), replace(SMALL, top=4))
    assert {p.kind for p in more} == {"strongest"}


def test_maps_lie_there_as_arrays_too_and_are_those_of_the_model(finished):
    store, _ = finished
    [note] = [n for n in notes(store) if n["kind"] == "maps" and n["method"] == "guided"]
    kept = np.load(io.BytesIO(store.read(RunFolder(ONE.id).figure(f"{note['name']}.npy"))))
    assert kept.dtype == np.float16
    subject, index = ExplainedModel(store, ONE.id), [cell["image"] for cell in note["cells"]]
    assert [cell["label"] for cell in note["cells"]] == [0, 1, 2, 3]  # one of every class
    predicted = torch.tensor([cell["predicted"] for cell in note["cells"]])
    maps, target = subject.maps(index, Target(), ["guided"])
    assert torch.equal(target.channels_N, predicted)
    assert torch.equal(subject.model(subject.seen(index)).argmax(1), predicted)
    again = subject.maps(index, Target(predicted), ["guided"])[0]["guided"]
    assert torch.equal(maps["guided"], again)
    np.testing.assert_array_equal(kept, again.numpy().astype(np.float16))
    drawn = tile(picture_of(store, note), note["grid"], 0, 1)
    expected = (around_gray(again[1:2])[0] * 255).round().byte().permute(1, 2, 0).numpy()
    times = note["grid"]["tile"] // 32
    np.testing.assert_array_equal(drawn[::times, ::times, :3], expected)


def test_patches_are_the_pixels_that_the_unit_sees_transparent_beyond_the_image(finished):
    store, _ = finished
    pixels_NCHW = raw().test_images
    for note in (n for n in notes(store) if n["kind"] == "strongest" and n["method"] == "image"):
        picture, grid = picture_of(store, note), note["grid"]
        for number, cell in enumerate(note["cells"]):
            top, left, side = cell["box"]
            padded = np.pad(pixels_NCHW[cell["image"]], ((0, 0), (32, 32), (32, 32))).transpose(1, 2, 0)
            inside = np.pad(np.full((32, 32), 255), 32)
            window = slice(top + 32, top + 32 + side), slice(left + 32, left + 32 + side)
            times = grid["tile"] // side
            shown = tile(picture, grid, number // grid["columns"], number % grid["columns"])[::times, ::times]
            np.testing.assert_array_equal(shown[..., 3], inside[window])
            np.testing.assert_array_equal(shown[..., :3], padded[window])
        assert note["receptive"] == receptive_fields(ONE.network)[note["layer"]].step.receptive


def test_patches_may_be_of_training_images(finished):
    store, _ = finished
    train = replace(SMALL, part="train", kinds=("strongest",), methods=("guided",))
    work = [(ONE, missing(store, ONE, digests(store), train))]
    assert len(work[0][1]) == 4
    render.render_here(store, work)
    of_train = [n for n in notes(store) if n.get("part") == "train" and n["method"] == "image"]
    assert len(of_train) == 2
    for note in of_train:
        cell, grid = note["cells"][0], note["grid"]
        assert cell["label"] == raw().train_labels[cell["image"]]
        top, left, side = cell["box"]
        padded = np.pad(raw().train_images[cell["image"]], ((0, 0), (32, 32), (32, 32))).transpose(1, 2, 0)
        shown = tile(picture_of(store, note), grid, 0, 0)[:: grid["tile"] // side, :: grid["tile"] // side, :3]
        np.testing.assert_array_equal(shown, padded[top + 32 : top + 32 + side, left + 32 : left + 32 + side])
    run = RunFolder(ONE.id)
    for name in store.names(run.figures):  # the other tests count what is there
        if ".train." in name:
            store.delete(run.figure(name))


def test_pooled_networks_show_switches_and_all_convolutional_ones_pools_put_in_afterwards(finished, tmp_path):
    store, _ = finished
    titles = {(n["layer"], n["switches"]): n["title"] for n in notes(store) if n["kind"] == "largest"}
    assert "replaced by 2x2 max-pooling after training" in titles["scores", True]
    assert "as it was trained" in titles["scores", False]
    pooled, other = experiment("model-a"), open_store(str(tmp_path))
    finish(other, pooled)
    subject, target = ExplainedModel(other, pooled.id), Target(torch.tensor([1, 2]))
    with_, without = (subject.maps([0, 1], target, ["guided"], switches)[0]["guided"] for switches in (True, False))
    assert not torch.equal(with_, without)


def test_a_killed_drawing_goes_on_and_leaves_the_same_pictures(finished, tmp_path, monkeypatch):
    whole, _ = finished
    store = open_store(str(tmp_path))
    finish(store, ONE)
    write, left = store.write, [12]

    def dies(path, data):
        left[0] -= 1
        if left[0] < 0:
            raise SystemExit(137)
        write(path, data)

    monkeypatch.setattr(store, "write", dies)
    with pytest.raises(SystemExit):
        render.render_here(store, [(ONE, missing(store, ONE, digests(store), SMALL))])
    monkeypatch.undo()
    monkeypatch.setitem(sources._SOURCES, "noise", raw)
    rest = missing(store, ONE, digests(store), SMALL)
    assert 0 < len(rest) < len(pictures(ONE.network, SMALL))
    render.render_here(store, [(ONE, rest)])
    assert missing(store, ONE, digests(store), SMALL) == []
    run = RunFolder(ONE.id)
    names = whole.names(run.figures)
    assert store.names(run.figures) == names
    assert all(store.read(run.figure(name)) == whole.read(run.figure(name)) for name in names)


def test_drawing_waits_for_a_slow_store(finished, monkeypatch):
    """However many sheets there are, no more than the queue's and the writers' are held."""
    store, _ = finished
    gate, held, most = threading.Event(), [0], [0]

    def slow(self, sheet):
        gate.wait(10)
        held[0] -= 1

    def many(subject, wanted):
        one = next(iter(drawn(subject, wanted[:1])))
        for n in range(60):
            held[0] += 1
            most[0] = max(most[0], held[0])
            if n == upload.WAITING + upload.WRITERS:
                gate.set()
            yield one

    drawn = upload.render_picture
    monkeypatch.setattr(upload, "render_picture", many)
    monkeypatch.setattr(upload.Uploads, "_write", slow)
    wanted = [p for p in pictures(ONE.network, SMALL) if p.kind == "patterns"]
    assert upload.render(store, ONE.id, wanted).sheets == 60
    assert most[0] <= upload.WAITING + upload.WRITERS + 1


def test_a_store_that_fails_ends_the_drawing_with_its_error(finished, monkeypatch):
    store, _ = finished

    def fails(self, sheet):
        raise OSError("no space left")

    monkeypatch.setattr(upload.Uploads, "_write", fails)
    with pytest.raises(OSError, match="no space left"):
        render.render_here(store, [(ONE, pictures(ONE.network, SMALL))])


def test_pictures_and_their_page_reach_either_kind_of_store(store):
    finish(store, ONE)
    few = RenderRequest(images=2, kinds=("patterns", "maps"))
    render.render_here(store, [(ONE, missing(store, ONE, digests(store), few))])
    assert missing(store, ONE, digests(store), few) == []
    assert len(notes(store)) == len(pictures(ONE.network, few))
    page = store.read(gallery.publish_gallery(store, "noise", [ONE])).decode()
    assert all(f"../../../runs/{ONE.id}/figures/{note['name']}.png" in page for note in notes(store))
