"""The gallery: it links what lies in the store, and a person can click through it without a server or network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import browser
from support.looked import experiment, finish, raw
from support.real_data import real_data

from pipeline.data import sources
from pipeline.data.unpickling import unpickle
from pipeline.plan.datasets import DATASETS, class_names
from pipeline.records.result import Result
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.visualization import gallery, render
from pipeline.visualization.catalogue import RenderRequest, missing

RUNS = [experiment("all-cnn-c"), experiment("model-a"), experiment("strided-cnn-b")]
WANTED = RenderRequest(images=4, channels=2, top=3, sanity=2)


@pytest.fixture(scope="module")
def hung(tmp_path_factory):
    """A store with the pictures of two runs, and a third that has none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources._SOURCES, "noise", raw)
        store = open_store(str(tmp_path_factory.mktemp("store")))
        for run in RUNS:
            finish(store, run)
        work = [
            (r, missing(store, r, store.read_record(Result, RunFolder(r.id).result).digests, WANTED)) for r in RUNS[:2]
        ]
        render.render_here(store, work)
    return store, gallery.publish_gallery(store, "noise", RUNS)


def test_every_picture_is_linked_relatively_and_there(hung):
    store, path = hung
    page = Path(store.url_of(path))
    text = page.read_text(encoding="utf-8")
    links = re.findall(r'href="(\.\./[^"]+)"', text)
    pictures = [f"runs/{r.id}/figures/{n}" for r in RUNS for n in store.names(RunFolder(r.id).figures)]
    linked = {str((page.parent / link).resolve().relative_to(Path(store.url).resolve())) for link in links}
    assert linked == {name for name in pictures if name.endswith(".png")} | {"studies/noise/report.html"}
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_the_page_is_written_once_and_shows_no_picture_of_other_weights(hung):
    store, path = hung
    before = Path(store.url_of(path)).stat().st_mtime_ns
    assert gallery.publish_gallery(store, "noise", RUNS) == path
    assert Path(store.url_of(path)).stat().st_mtime_ns == before
    assert [run["id"] for run in gallery.index(store, RUNS)] == [RUNS[0].id, RUNS[1].id]
    run = RunFolder(RUNS[1].id)
    result = store.read_json(run.result)
    store.write_json(run.result, result | {"digests": result["digests"] | {"model": "trained anew"}})
    assert [run["id"] for run in gallery.index(store, RUNS)] == [RUNS[0].id]
    store.write_json(run.result, result)


def test_the_larger_of_two_sheets_of_the_same_is_shown(hung, monkeypatch):
    store, _ = hung
    monkeypatch.setitem(sources._SOURCES, "noise", raw)
    run = RunFolder(RUNS[0].id)
    more = RenderRequest(channels=3, top=4, kinds=("strongest",))
    render.render_here(store, [(RUNS[0], missing(store, RUNS[0], store.read_record(Result, run.result).digests, more))])
    [first, _] = gallery.index(store, RUNS)
    grids = [p["grid"] for p in first["pictures"] if p["kind"] == "strongest"]
    assert [(g["rows"], g["columns"]) for g in grids] == [(3, 4)] * 8


def test_exact_sheets_are_shown_before_quick_ones_even_of_more():
    exact, quick = (
        {"kind": "strongest", "layer": "conv1", "method": "guided", "switches": True, "part": "test", "cells": []}
        | {"name": precision, "precision": precision, "grid": {"rows": rows, "columns": 3}}
        for precision, rows in (("float32", 2), ("bfloat16", 9))
    )
    assert gallery._kept([exact, quick]) == gallery._kept([quick, exact]) == [exact]


def test_classes_of_cifar_are_called_by_their_names(hung, pytestconfig):
    """Witness: the list of names that was published with the images."""
    for name, file, key in (
        ("cifar10-2000", "cifar-10-batches-py/batches.meta", "label_names"),
        ("cifar100", "cifar-100-python/meta", "fine_label_names"),
    ):
        published = unpickle((real_data(pytestconfig, file) / file).read_bytes())[key]
        names = class_names(DATASETS[name])
        assert names == tuple(word.decode().replace("_", " ") for word in published)
        assert len(names) == DATASETS[name].classes
    assert class_names(DATASETS["digits"]) is None
    store, _ = hung
    run, _ = gallery.index(store, RUNS)
    assert run["names"] is None


def test_a_study_without_pictures_says_how_to_get_them():
    assert "strive figures --study digits" in gallery.rendered("digits", [])


def test_no_text_ends_the_script_it_is_in(hung):
    store, _ = hung
    runs = gallery.index(store, RUNS)
    runs[0]["label"] = "</script><script>alert(1)</script>"
    assert "<script>alert" not in gallery.rendered("noise", runs)


def test_the_verdict_is_the_mean_over_runs_where_there_is_any_signal():
    def run(*spearman):
        rows = [{"method": "guided", "layer": f"conv{n}", "spearman": value} for n, value in enumerate(spearman)]
        return {"pictures": [{"kind": "maps"}, {"kind": "sanity", "compared": rows}]}

    [found] = gallery.verdict([run(0.9, 0.5, 0.2), run(0.7, 0.5, 0.4), run(0.8, 0.5, None)])
    assert (found["method"], found["runs"]) == ("guided", 3)
    assert found["scores"] == pytest.approx(0.8)
    assert found["all"] == pytest.approx(0.3)


LOADED = "[...document.images].every((image) => image.complete && image.naturalWidth > 0 && image.alt)"
CLICK = "document.querySelector({!r}).click()"


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
def test_a_person_clicks_through_it(hung):
    store, path = hung
    with browser.browser() as page:
        page.open(f"file://{store.url_of(path)}")
        panels = "[...document.querySelectorAll('.panel')].map((panel) => panel.dataset.run)"
        assert page.evaluate(panels) == [RUNS[0].id, RUNS[1].id]
        views = page.evaluate("[...document.querySelectorAll('#views button')].map((button) => button.id)")
        assert views == ["view-maps", "view-strongest", "view-largest", "view-patterns", "view-sanity"]
        for view in views:
            page.evaluate(CLICK.format(f"#{view}"))
            page.evaluate("[...document.images].forEach((image) => { image.loading = 'eager'; })")
            assert page.evaluate("document.images.length") > 0
            page.wait(LOADED)

        # a tile is the part of the sheet that it says it is
        page.evaluate(CLICK.format("#view-maps"))
        page.evaluate(CLICK.format("[aria-label='next image']"))
        alts = page.evaluate("[...document.querySelectorAll('.panel:first-child .tile')].map((image) => image.alt)")
        assert len(alts) == 4
        assert "of class 1" in alts[0]
        assert "guided backpropagation" in alts[3]
        at = page.evaluate("getComputedStyle(document.querySelector('.tile')).objectPosition")
        assert at == "-100px -2px"  # the second of tiles of 96 pixels, 2 between them

        # one network and one method less; the last one of each stays
        page.evaluate(CLICK.format(f"[value='{RUNS[1].id}']"))
        page.evaluate(CLICK.format("[value='deconvnet']"))
        assert page.evaluate(panels) == [RUNS[0].id]
        assert page.evaluate("document.querySelectorAll('.tile').length") == 3
        page.evaluate(CLICK.format(f"[value='{RUNS[0].id}']"))
        assert page.evaluate(panels) == [RUNS[0].id]

        # the address holds all of it
        address = page.evaluate("location.href")
        page.open("about:blank")
        page.open(address)
        assert page.evaluate(panels) == [RUNS[0].id]
        assert page.evaluate("document.querySelectorAll('.tile').length") == 3
        assert "of class 1" in page.evaluate("document.querySelector('.tile').alt")
        assert page.errors == []


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
def test_a_person_chooses_layer_and_unit_of_the_strongest_patches(hung):
    store, path = hung
    with browser.browser() as page:
        page.open(f"file://{store.url_of(path)}")
        page.evaluate(CLICK.format("#view-strongest"))
        caption = "document.querySelector('.panel figcaption').textContent"
        first = page.evaluate(caption)
        choose = "(() => {{ const s = {}; s.value = s.options[{}].value; s.dispatchEvent(new Event('change')); }})()"
        page.evaluate(choose.format("document.querySelector('.panel select')", 0))
        layer = page.evaluate(caption)
        assert "conv4" in layer
        assert "conv7" in first
        page.evaluate(choose.format("document.querySelector('#picks select')", 1))
        assert page.evaluate(caption) != layer

        # the address holds them too
        shown, address = page.evaluate(caption), page.evaluate("location.href")
        page.open("about:blank")
        page.open(address)
        assert page.evaluate(caption) == shown
        assert page.errors == []


def test_the_page_is_the_same_whatever_encoding_files_have_here(tmp_path):
    code = (
        "import sys; from pipeline.visualization.gallery import rendered; "
        "sys.stdout.buffer.write(rendered('x', []).encode())"
    )
    old = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # not UTF-8, as in ISO 8859-1
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | old, capture_output=True, check=True)
    assert done.stdout.decode() == gallery.rendered("x", [])
