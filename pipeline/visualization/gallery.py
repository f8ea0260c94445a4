"""A study's gallery: one static page over the pictures that lie with its runs. Its links are relative: no server."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from pipeline.paper.networks import printed_name
from pipeline.paper.relu_rules import RULES
from pipeline.plan.datasets import class_names
from pipeline.plan.experiment import Experiment
from pipeline.records.dataset import StoredObject
from pipeline.records.record import SEAL
from pipeline.records.result import Result
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import RunFolder, StudyFolder
from pipeline.store.results import find_result
from pipeline.visualization.catalogue import KINDS
from pipeline.visualization.notes import is_note
from pipeline.visualization.notes import read as notes_read
from pipeline.visualization.png import SCALING

READERS = 16  # notes read at once
UNSHOWN = {"run", "network", "data", "scaling", "precision", "files", SEAL}  # said once a run or a page
METHODS = {"backprop": "backpropagation", "deconvnet": "deconvnet", "guided": "guided backpropagation"}


def publish_gallery(store: Store, study: str, experiments: Sequence[Experiment]) -> str:
    """Write the page unless it is there as it would be; returns its path in the store."""
    path = StudyFolder(study).gallery
    page = rendered(study, index(store, experiments), store.exists("index.html")).encode()
    if store.find(path) != page:
        store.write(path, page)
    made = StoredObject(sha256(page), len(page))
    if store.find(StudyFolder(study).gallery_note) != made.to_json():
        store.write_record(StudyFolder(study).gallery_note, made)
    return path


def is_whole(store: Store, study: str) -> bool:
    """Whether the page is there as it was made."""
    page, made = store.find(StudyFolder(study).gallery), store.find(StudyFolder(study).gallery_note)
    return page is not None and made == StoredObject(sha256(page), len(page)).to_json()


def index(store: Store, experiments: Sequence[Experiment]) -> list[dict]:
    """Every finished run that has pictures of the weights it ended with, with the notes of these."""
    runs = []
    with ThreadPoolExecutor(READERS) as readers:
        results = readers.map(lambda e: find_result(store, e.id), experiments)
        for experiment, result in zip(experiments, results, strict=True):
            if result is None or result.outcome != "done":
                continue
            folder = RunFolder(experiment.id)
            there = set(store.names(folder.figures))
            names = [name for name in sorted(there) if is_note(name) and f"{name[:-5]}.png" in there]
            notes = list(readers.map(lambda name, at=folder: notes_read(store, at.figure(name)), names))
            if kept := _kept([note for note in notes if note.get("weights") == result.digests.model]):
                runs.append(_run(experiment, result, kept))
    return runs


def _run(experiment: Experiment, result: Result, notes: list[dict]) -> dict:
    name = printed_name(experiment.network.name)
    return {
        "id": experiment.id,
        "label": f"{name}, learning rate {experiment.recipe.lr:g}, seed {experiment.seed}",
        "network": name,
        "error": f"{result.error_percent:.2f} % error",
        "names": class_names(experiment.dataset),
        "pictures": [_without_twins(note) for note in notes],
    }


def _kept(notes: list[dict]) -> list[dict]:
    """Of sheets that show the same in other sizes the largest one; exact ones before quick ones."""
    best: dict[tuple, dict] = {}
    for note in notes:
        shown = [cell.get("image") for cell in note["cells"]] if note["kind"] == "maps" else None
        slot = (note["kind"], note["layer"], note["method"], note["switches"], note.get("part"), str(shown))
        if slot not in best or _size(note) > _size(best[slot]):
            best[slot] = note
    return sorted(best.values(), key=lambda note: (KINDS.index(note["kind"]), note["name"]))


def _size(note: dict) -> tuple[bool, int]:
    return note["precision"] == "float32", note["grid"]["rows"] * note["grid"]["columns"]


def _without_twins(note: dict) -> dict:
    """The note as the page needs it: what the tiles of a map show is said once, by the sheet of the images."""
    short = {key: value for key, value in note.items() if key not in UNSHOWN}
    if note["kind"] == "strongest" and note["method"] != "image":
        return {key: value for key, value in short.items() if key not in ("cells", "rows")}
    if note["kind"] == "maps" and note["method"] != "image":
        return short | {"cells": [{"image": cell["image"]} for cell in note["cells"]]}
    return short


def rendered(study: str, runs: list[dict], index_page: bool = False) -> str:
    """The page as HTML; `index_page` says whether the store has a front page to link."""
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
        files("pipeline.visualization").joinpath("gallery.html").read_text(encoding="utf-8")
    )
    data = {"study": study, "runs": runs, "methods": METHODS, "scaling": SCALING}
    return page.render(
        study=study,
        index_page=index_page,
        runs=runs,
        rules=RULES,
        methods=METHODS,
        scaling=SCALING,
        verdict=verdict(runs),
        # no text of ours may end the element it stands in
        index=json.dumps(data, sort_keys=True).replace("<", "\\u003c"),
    )


def verdict(runs: Sequence[dict]) -> list[dict]:
    """By method, what is left of the maps' rank correlation: the scores' layer random, and all layers random."""
    out = []
    for method, words in METHODS.items():
        first, last = [], []
        for run in runs:
            for note in run["pictures"]:
                rows = [row for row in note.get("compared", ()) if row["method"] == method]
                if rows and rows[0]["spearman"] is not None:
                    first.append(rows[0]["spearman"])
                if rows and rows[-1]["spearman"] is not None:
                    last.append(rows[-1]["spearman"])
        if first and last:
            ends = {"scores": sum(first) / len(first), "all": sum(last) / len(last)}
            out.append({"method": method, "words": words, "runs": len(first)} | ends)
    return out
