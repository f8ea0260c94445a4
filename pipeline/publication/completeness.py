"""Whether a study is reproduced as it would be by this code: answered from the store alone, without pandas or torch."""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.evaluation.proofs import proofs, to_verify
from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import needed
from pipeline.plan.studies import Study
from pipeline.publication import pull
from pipeline.records.published import Inputs
from pipeline.records.record import DamagedRecord
from pipeline.records.result import Evaluation, Result
from pipeline.store.objects import AT_ONCE, Store, sha256
from pipeline.store.paths import DatasetFolder, RunFolder, StudyFolder
from pipeline.store.replications import names
from pipeline.store.results import read_results
from pipeline.visualization.catalogue import RenderRequest, chosen_runs, missing

# whatever decides a byte of what is published
ROOMS = ("errors.py", "records", "paper", "plan", "store", "evaluation", "visualization", "publication")
LIBRARIES = ("jinja2", "matplotlib", "numpy", "pandas", "pyarrow", "scipy", "statsmodels", "tabulate")


def is_complete(store: Store, study: Study, wanted: RenderRequest, price: float | None = None) -> bool:
    """Whether `strive reproduce` would leave the store as it is.

    That is so when no run is left to train or verify, data and pictures are there, and tables and page are whole and
    were made by this code from these very results. `price` is that of a device-hour.
    """
    results = read_results(store, (e.id for e in study.read))
    return (
        not needed(study, results)
        and not to_verify(store, {e.id: results[e.id] for e in study.read if e.id in results})
        and _has_data(store, study.wanted)
        and _has_pictures(store, study, results, wanted)
        and _is_whole(store, StudyFolder(study.name))
        and store.find(StudyFolder(study.name).inputs) == inputs(store, study, results, price).to_json()
    )


def inputs(store: Store, study: Study, results: Mapping[str, Result], price: float | None) -> Inputs:
    """What the published tables, page and list follow from: they are made anew where it has changed."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pictures = dict(zip(results, pool.map(lambda id: store.names(RunFolder(id).figures), results), strict=True))
    plain = {id: result.plain() for id, result in results.items()}
    found: dict[str, Any] = {"results": plain, "pictures": pictures, "proofs": _plain(proofs(store, results))}
    if replicated := names(store, results):
        found["replications"] = replicated
    return Inputs(
        code=_code(),
        runs=len(study.wanted),
        found=sha256(json.dumps(found, sort_keys=True).encode()),
        study=sha256(" ".join(e.id for e in study.read).encode()),
        price=price,
    )


def _plain(found: Mapping[str, Evaluation | None]) -> dict[str, Any]:
    return {id: proof and [(c.torch, c.processor, c.revision) for c in proof.under] for id, proof in found.items()}


def record(store: Store, study: Study, results: Mapping[str, Result], price: float | None) -> None:
    """Note what the study's publication was made from, once all of it is in the store."""
    store.write_record(StudyFolder(study.name).inputs, inputs(store, study, results, price))


def _has_data(store: Store, experiments: Iterable[Experiment]) -> bool:
    kinds = dict.fromkeys((e.dataset, e.recipe.preprocess) for e in experiments)
    return all(store.exists(DatasetFolder(dataset, how).manifest) for dataset, how in kinds)


def _has_pictures(store: Store, study: Study, results: Mapping[str, Result], wanted: RenderRequest) -> bool:
    drawn = chosen_runs(study, results)
    return not any(missing(store, e, results[e.id].digests, wanted) for e in drawn)


def _is_whole(store: Store, folder: StudyFolder) -> bool:
    """Whether the study's own files are there with the digests listed; of pictures it is enough that they are there."""
    try:
        listed = pull.listed(store, folder.name) or {}
    except DamagedRecord:
        return False
    own = [path for path in listed if path.startswith(f"{folder.top}/")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        data = pool.map(store.find, own)
        whole = all(d is not None and sha256(d) == listed[path].sha256 for path, d in zip(own, data, strict=True))
    return whole and {folder.report, folder.gallery, folder.latest, folder.table("parquet")} <= set(own)


def _code() -> str:
    """A digest of the code that publishes, and of the libraries' versions."""
    root = Path(__file__).resolve().parents[1]
    files = [file for room in ROOMS for file in _files(root / room)]
    parts = [f"{file.relative_to(root)} {sha256(file.read_bytes())}" for file in files]
    return sha256("\n".join([*parts, *(f"{name} {_version(name)}" for name in LIBRARIES)]).encode())[:12]


def _files(room: Path) -> list[Path]:
    if room.is_file():
        return [room]
    return sorted(file for file in room.rglob("*") if file.suffix in (".py", ".html"))


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
