"""A study's tables in the store: the latest in place, every one so far under its digest, and the list of them."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pandas as pd

from pipeline.evaluation.frames import manifest
from pipeline.evaluation.schema import FILES, SCHEMA, described
from pipeline.plan.studies import Study
from pipeline.publication import formats
from pipeline.store.objects import AT_ONCE, Store, StudyFolder, sha256, to_json


def publish(store: Store, study: Study, made: Mapping[str, pd.DataFrame]) -> str:
    """Put the tables under studies/<name>; returns the edition's digest. Nothing changes when nothing has changed."""
    folder = StudyFolder(study.name)
    files = {
        f"{FILES[kind]}.{ending}": data
        for kind, table in made.items()
        for ending, data in formats.files(kind, table, study.name).items()
    }
    files["schema.json"] = to_json(described())
    digest = sha256(b"".join(files[f"{name}.json"] for name in (FILES[kind] for kind in made)))[:12]
    store.write_json(folder.manifest, manifest(study))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: store.create(folder.edition(digest, name), files[name]), files))
        list(pool.map(lambda name: store.write(folder.object(name), files[name]), files))
    _list(store, folder, digest)
    return digest


def _list(store: Store, folder: StudyFolder, digest: str) -> None:
    """Put the edition at the end of the list, which is the one in place, once it is whole."""
    listed = store.find_json(folder.editions) or []
    if not listed or listed[-1]["digest"] != digest:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        others = [edition for edition in listed if edition["digest"] != digest]
        store.write_json(folder.editions, [*others, {"digest": digest, "at": at, "schema": SCHEMA}])
