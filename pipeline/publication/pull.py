"""Fetch what a study has published, tables, report and pictures, into a folder; and the list of it, with digests."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.store.objects import AT_ONCE, RunFolder, Store, StudyFolder, sha256


@dataclass(frozen=True)
class Pulled:
    """What a pull has done; files that were there and whole are not fetched again."""

    fetched: int
    kept: int
    bytes: int  # fetched


def update_list(store: Store, study: str, ids: Iterable[str]) -> None:
    """Bring the list up to pictures that were drawn after it; a study that is not published yet has none."""
    if store.exists(StudyFolder(study).files):
        write_list(store, study, ids)


def write_list(store: Store, study: str, ids: Iterable[str]) -> None:
    """Put the list of everything that belongs to the study's publication, the pictures of these runs included."""
    folder = StudyFolder(study)
    own = [folder.object(name) for name in store.names(folder.top) if not name.startswith("editions/")]
    pictures = [f"{RunFolder(id).top}/figures" for id in ids]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        named = pool.map(lambda top: [f"{top}/{name}" for name in store.names(top)], pictures)
        paths = sorted({*own, *(path for names in named for path in names)} - {folder.files, folder.inputs})
        found = dict(zip(paths, pool.map(store.find, paths), strict=True))
    store.write_json(folder.files, {path: _entry(data) for path, data in found.items() if data is not None})


def pull(store: Store, study: str, to: Path, command: str = "") -> Pulled:
    """Bring `to` up to what the study has published, under the same paths. It may be broken off at any time.

    `command` is what commands take for a study that is not ours, in messages.
    """
    folder = StudyFolder(study)
    if "s3:" in to.parts or (to.exists() and not to.is_dir()):
        raise UserError(f"{to} is no folder on this machine: name one to fetch into")
    files = store.find_json(folder.files)
    if files is None:
        raise UserError(
            f"{store.url_of(folder.top)} holds nothing to pull yet: run `strive reproduce {command or study}` first"
        )
    inside = to.resolve()
    if outside := [path for path in files if not (inside / path).resolve().is_relative_to(inside)]:
        raise UserError(
            f"{store.url_of(folder.files)} names {outside[0]!r}, which lies outside {to}: nothing was fetched"
        )
    missing = [path for path, entry in files.items() if not _is_here(to / path, entry)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda path: _fetch(store, path, files[path], to / path), missing))
    return Pulled(len(missing), len(files) - len(missing), sum(files[path]["bytes"] for path in missing))


def _entry(data: bytes) -> dict:
    return {"sha256": sha256(data), "bytes": len(data)}


def _is_here(file: Path, entry: dict) -> bool:
    return file.is_file() and file.stat().st_size == entry["bytes"] and sha256(file.read_bytes()) == entry["sha256"]


def _fetch(store: Store, path: str, entry: dict, file: Path) -> None:
    data = store.find(path)
    if data is None:
        raise UserError(
            f"{store.url_of(path)} is gone, though the study's list names it: publish the study again with "
            "`strive reproduce`"
        )
    if _entry(data) != entry:
        raise UserError(
            f"{store.url_of(path)} is not what the study's list names: it is being published anew, or was damaged. "
            "Pull again; if this stays, publish the study again with `strive reproduce`."
        )
    part = file.with_name(f"{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"cannot write {file}: {error.strerror}. Free space there, or name another folder.") from error
