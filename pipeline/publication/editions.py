"""A study's tables in the store, in editions: each whole under its digest before `latest.json`, one small object, names
it; then the stable names, `table.parquet` and the others, follow. Of these alone a reader may see two editions side by
side for a moment."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pandas as pd

from pipeline.evaluation.frames import manifest
from pipeline.evaluation.schema import FILES, SCHEMA, described
from pipeline.plan.studies import Study
from pipeline.publication import formats, latest
from pipeline.records.dataset import StoredObject
from pipeline.records.published import Edition
from pipeline.records.record import DamagedRecord
from pipeline.store.objects import AT_ONCE, Store, sha256, to_json
from pipeline.store.paths import StudyFolder

Files = Mapping[str, bytes]


def files_of(study: Study, made: Mapping[str, pd.DataFrame]) -> Files:
    """The bytes of an edition, by name."""
    files = {
        f"{FILES[kind]}.{ending}": data
        for kind, table in made.items()
        for ending, data in formats.files(kind, table, study.name).items()
    }
    return files | {"schema.json": to_json(described()), "manifest.json": manifest(study).to_json()}


def write(store: Store, study: str, files: Files) -> Edition:
    """Put an edition under its own digest, its note last; one that is there is left as it is."""
    folder = StudyFolder(study)
    entries = {name: StoredObject(sha256(data), len(data)) for name, data in sorted(files.items())}
    digest = latest.digest_of(entries)
    _each(lambda name: _put(store, folder.edition(digest, name), files[name]), files)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    made = Edition(digest=digest, at=at, schema=SCHEMA, files=entries)
    path = folder.edition(digest, "edition.json")
    if store.create_record(path, made):
        return made
    try:  # of an earlier time, or of another process just now
        there = store.read_record(Edition, path)
    except DamagedRecord:
        store.write_record(path, made)
        return made
    return there if there.files == entries else made


def make_latest(store: Store, study: str, edition: Edition, files: Files) -> None:
    """Name the edition the latest, then bring the stable names up to it. Only for the holder of the study's turn."""
    folder = StudyFolder(study)
    store.write_record(folder.latest, edition)
    _each(lambda name: store.write(folder.object(name), files[name]), files)


def _put(store: Store, path: str, data: bytes) -> None:
    """Its place follows from its bytes: other bytes there are damage."""
    if not store.create(path, data):
        store.write(path, data)


def _each(do: Callable[[str], None], names: Files) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(do, names))
