"""Images and weights of one's own: maps are those of the same pixels in a data set; a misfit is named."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pipeline import own
from pipeline.data import prepare
from pipeline.errors import UserError
from pipeline.numerics.initialization import initialize
from pipeline.numerics.model import build
from pipeline.numerics.saliency.attribution import Target, maps
from pipeline.own import DATASETS, Scale, at_width, network, replace
from pipeline.paper.networks import TWELVE, narrow
from pipeline.paper.recipes import Shift
from pipeline.records.result import Digests, Result
from pipeline.store.objects import open_store, sha256
from pipeline.store.paths import RunFolder
from pipeline.training import checkpoint
from pipeline.visualization import own_images
from pipeline.visualization.own_images import files_of, of_run, of_weights, write

SMALL = at_width("all-cnn-c", "1/12", "digits")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Runs that were never trained, whitened and scaled, with the digits they would have seen."""
    from pipeline.plan.experiment import Experiment
    from pipeline.plan.usual import DIGITS

    found = open_store(str(tmp_path_factory.mktemp("store")))
    for recipe in (DIGITS, replace(DIGITS, preprocess=Scale()), replace(DIGITS, augment=Shift(whitened=False))):
        one = Experiment(SMALL, DATASETS["digits"], recipe)
        prepare.make(found, one.dataset, one.recipe.preprocess)
        model = build(SMALL)
        initialize(model, "he", 0, None)
        run, weights = RunFolder(one.id), checkpoint.weights(model)
        found.write(run.old_model, weights)
        found.write_json(run.experiment, one.plain())
        done = Result(outcome="done", attempt=1, wrong=1, seen=2, digests=Digests(model=sha256(weights)))
        found.write_json(run.result, done.plain())
    return found


def runs(store):
    return sorted({name.split("/")[0] for name in store.names("runs")})


def test_a_test_image_given_as_a_file_has_the_map_that_it_has_in_the_data_set(store, tmp_path):
    from pipeline.evaluation.verify import load_model

    for id in runs(store):
        trained = load_model(store, id)
        data = prepare.load(store, DATASETS["digits"], trained.experiment.recipe.preprocess)
        pixels, _ = data.test_pixels.take(torch.tensor([7]))
        seen, _ = data.feed("test", trained.experiment.recipe).eval_batch(torch.tensor([7]))
        Image.fromarray(pixels[0].permute(1, 2, 0).numpy()).save(tmp_path / "digit.png")
        looked = of_run(store, id).look(tmp_path / "digit.png")
        wanted = maps(trained.model, seen, Target())[0]
        np.testing.assert_allclose(looked.maps["guided"], wanted, atol=1e-5 * float(wanted.abs().max()))
        assert looked.predicted == trained.model(seen).argmax()
        array = of_run(store, id).look(pixels[0].permute(1, 2, 0).numpy(), ["guided"])
        np.testing.assert_array_equal(array.maps["guided"], looked.maps["guided"])


def test_every_image_leaves_pictures_arrays_and_a_note(store, tmp_path):
    (tmp_path / "more").mkdir()
    for name, size in (("cat.png", (40, 30)), ("more/cat.jpg", (20, 50)), ("more/gray.png", (9, 9))):
        mode = "L" if "gray" in name else "RGB"
        Image.new(mode, size, 100).save(tmp_path / name)
    (tmp_path / "more/notes.txt").write_text("no image")
    files = files_of([str(tmp_path / "cat.png"), str(tmp_path / "more")])
    assert [file.name for file in files] == ["cat.png", "cat.jpg", "gray.png"]
    notes = write(of_run(store, runs(store)[0]), files, ["guided", "backprop"], tmp_path / "maps")
    made = {file.name for file in (tmp_path / "maps").iterdir()}
    ends = ("png", "json", "guided.png", "guided.npy", "backprop.png", "backprop.npy")
    assert made == {f"{stem}.{end}" for stem in ("cat-1", "cat-2", "gray") for end in ends}
    note = json.loads((tmp_path / "maps/cat-1.json").read_text())
    assert note == notes[0]
    assert (note["run"], note["image_sha256"]) == (runs(store)[0], sha256((tmp_path / "cat.png").read_bytes()))
    assert np.load(note["arrays"]["guided"]).shape == (3, 32, 32)
    with Image.open(note["pictures"]["strip"]) as strip, Image.open(note["pictures"]["guided"]) as alone:
        assert strip.size[0] == 3 * alone.size[0] - 4  # a gap is shared


def test_no_image_of_the_users_is_written_over(store, tmp_path):
    looker = of_run(store, runs(store)[0])
    for name in ("cat.png", "cow.guided.png", "cow.jpg"):
        Image.new("RGB", (40, 30), 100).save(tmp_path / name)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    (tmp_path / "link").symlink_to(tmp_path)
    for files, to in ((["cat.png"], tmp_path / "link"), (["cow.guided.png", "cow.jpg"], tmp_path)):
        with pytest.raises(UserError, match=r"would be written over .*c(at|ow.guided).png: name a folder"):
            write(looker, [tmp_path / name for name in files], ["guided"], to)
    (tmp_path / "link").unlink()
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert write(looker, [tmp_path / "cow.jpg"], ["backprop"], tmp_path)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB", "L", "P", "RGBA"])
def test_an_image_of_pillow_is_seen_as_its_file_is(store, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    image, looker = Image.fromarray(pixels).convert(mode), of_run(store, runs(store)[0])
    whole = looker.look(np.asarray(image.convert("RGB")), ["guided"])
    np.testing.assert_array_equal(looker.look(image, ["guided"]).maps["guided"], whole.maps["guided"])


def test_what_is_no_image_is_named(store, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"there is no image .*none.png"):
        files_of([str(tmp_path / "none.png")])
    with pytest.raises(UserError, match="empty holds no images"):
        files_of([str(tmp_path / "empty")])
    looker = of_run(store, runs(store)[0])
    with pytest.raises(UserError, match=r"text.png cannot be read as an image"):
        looker.look(tmp_path / "text.png")
    with pytest.raises(UserError, match=r"not float64 \(4, 4, 3\)"):
        looker.look(np.zeros((4, 4, 3)))
    with pytest.raises(UserError, match=r"an array \(0, 4, 3\) cannot be read as an image"):
        looker.look(np.zeros((0, 4, 3), np.uint8))
    with pytest.raises(UserError, match="not a float"):
        looker.look(1.0)
    assert looker.look_at([]) == []
    with pytest.raises(UserError, match=r"text.png is no folder"):
        write(looker, [], ["guided"], tmp_path / "text.png")


def test_three_lines_of_a_notebook(store, tmp_path, monkeypatch):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "photo.png")
    run = own.look(runs(store)[0][:-3], store=store.url)
    looked = run.look(tmp_path / "photo.png")
    assert looked._repr_png_()[:4] == b"\x89PNG"
    assert 0 <= looked.share <= 1
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert own.maps(run.model, images).shape == images.shape
    assert network("all-cnn-c") is TWELVE["all-cnn-c"]


def test_many_images_are_looked_at_in_batches(store, monkeypatch):
    images = list(np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8))
    looker = of_run(store, runs(store)[0])
    whole = looker.look_at(images, ["guided"])
    monkeypatch.setattr(own_images, "BATCH", 2)
    for one, other in zip(looker.look_at(images, ["guided"]), whole, strict=True):
        np.testing.assert_allclose(one.maps["guided"], other.maps["guided"], rtol=1e-3, atol=1e-6)


def test_a_network_whose_class_scores_are_all_equal_is_said_to_be_blank(tmp_path, capsys):
    """With all weights zero every score is zero, and so is every map."""
    from flows.cli.output import print_maps

    model = build(narrow(TWELVE["all-cnn-c"], 12))
    save_file(
        {name: torch.zeros(value.shape) for name, value in model.state_dict().items()}, tmp_path / "w.safetensors"
    )
    Image.fromarray(np.full((32, 32, 3), 9, np.uint8)).save(tmp_path / "photo.png")
    looker = of_weights("all-cnn-c", tmp_path / "w.safetensors")
    [note] = write(looker, [tmp_path / "photo.png"], ["guided"], tmp_path / "maps")
    assert note["blank"]
    assert not np.load(note["arrays"]["guided"]).any()
    print_maps([note], as_json=False)
    assert "all class scores are equal, so its maps are zero" in capsys.readouterr().err


def test_maps_are_not_written_into_a_folder_that_looks_like_a_bucket(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no folder on this machine"):
        write(None, [], ["guided"], Path("s3://bucket/maps"))
    with pytest.raises(UserError, match="cannot make the folder"):
        write(None, [], ["guided"], Path("/proc/maps"))
    assert list(tmp_path.iterdir()) == []


def test_names_do_not_meet_and_hidden_files_are_left_out(tmp_path):
    for name in ("a.png", "a.jpg", "a-1.png", "._a.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    files = files_of([str(tmp_path)])
    assert [file.name for file in files] == ["a-1.png", "a.jpg", "a.png"]
    assert len({own_images._unique(file, files) for file in files}) == 3
