"""Fetch what a study has published, tables, report and pictures, into a folder; and the list of it, with digests."""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.records.dataset import StoredObject
from pipeline.records.published import FileList
from pipeline.records.record import SEAL, DamagedRecord, unsealed
from pipeline.store.objects import AT_ONCE, Store, sha256
from pipeline.store.paths import RunFolder, StudyFolder
from pipeline.visualization.notes import files_of, is_note
from pipeline.whole_path import whole_path

Entries = Mapping[str, StoredObject]


@dataclass(frozen=True)
class Pulled:
    """What a pull has done; files that were there and whole are not fetched again."""

    fetched: int
    kept: int
    bytes: int  # fetched


def listed(store: Store, study: str) -> Entries | None:
    """What can be pulled, with the digests that the files had when they were made; None where nothing can."""
    path = StudyFolder(study).files
    if (data := store.find(path)) is None:
        return None
    address = store.url_of(path)
    plain = unsealed(data, address, FileList.REMEDY)
    if SEAL not in plain and "files" not in plain:  # as earlier code wrote it
        return FileList.from_plain({"files": plain}, address).files
    return FileList.from_json(data, address).files


def update_list(store: Store, study: str, ids: Iterable[str]) -> None:
    """Bring the list up to pictures that were drawn after it; a study that is not published yet has none."""
    if (before := listed(store, study)) is not None:
        top = f"{StudyFolder(study).top}/"
        write_list(store, study, ids, {path: made for path, made in before.items() if path.startswith(top)})


def write_list(store: Store, study: str, ids: Iterable[str], own: Entries) -> None:
    """Put the list of everything that belongs to the study's publication: its own files, the gallery, the pictures of
    these runs. No digest is made by reading a file back, but for pictures of earlier code."""
    folder, before = StudyFolder(study), _before(store, study)
    found = dict(own)
    if page := store.find_record(StoredObject, folder.gallery_note):
        found[folder.gallery] = page
    elif folder.gallery not in found and (data := store.find(folder.gallery)) is not None:
        found[folder.gallery] = before.get(folder.gallery) or entry(data)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for pictures in pool.map(lambda id: _pictures(store, RunFolder(id), before), ids):
            found |= pictures
    store.write_record(folder.files, FileList(files=dict(sorted(found.items()))))


def _before(store: Store, study: str) -> Entries:
    try:
        return listed(store, study) or {}
    except DamagedRecord:  # it is made again
        return {}


def _pictures(store: Store, run: RunFolder, before: Entries) -> dict[str, StoredObject]:
    """A run's pictures as their notes have them."""
    names, found = store.names(run.figures), {}
    for name in names:
        if is_note(name):
            data = store.read(run.figure(name))
            found[run.figure(name)] = entry(data)
            found |= {run.figure(of): made for of, made in files_of(data, store.url_of(run.figure(name))).items()}
    for name in names:
        path = run.figure(name)
        if path not in found:
            found[path] = before.get(path) or entry(store.read(path))
    return found


def pull(store: Store, study: str, to: Path, command: str = "") -> Pulled:
    """Bring `to` up to what the study has published, under the same paths. It may be broken off at any time.

    `command` is what makes it, for a message where there is nothing.
    """
    folder, _ = StudyFolder(study), whole_path(to)  # refused before the store is asked
    if "s3:" in to.parts or (to.exists() and not to.is_dir()):
        raise UserError(f"{to} is no folder on this machine: name one to fetch into")
    if to.is_symlink() and not to.exists():  # to itself, too
        raise UserError(f"{to} is a link that leads nowhere: name a folder to fetch into")
    files = listed(store, study)
    if files is None:
        made_by = command or f"`strive reproduce {study}`"
        raise UserError(f"{store.url_of(folder.top)} holds nothing to pull yet: run {made_by} first")
    inside = to.resolve()
    if outside := [path for path in files if not (inside / path).resolve().is_relative_to(inside)]:
        raise UserError(
            f"{store.url_of(folder.files)} names {outside[0]!r}, which lies outside {to}: nothing was fetched"
        )
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {to}: {error.strerror}; name another to fetch into") from error
    missing = [path for path, of in files.items() if not _is_here(to / path, of)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda path: _fetch(store, path, files[path], to / path), missing))
    return Pulled(len(missing), len(files) - len(missing), sum(files[path].bytes for path in missing))


def entry(data: bytes) -> StoredObject:
    """What a list says of a file with these bytes."""
    return StoredObject(sha256(data), len(data))


def _is_here(file: Path, of: StoredObject) -> bool:
    return file.is_file() and file.stat().st_size == of.bytes and sha256(file.read_bytes()) == of.sha256


def _fetch(store: Store, path: str, of: StoredObject, file: Path) -> None:
    data = store.find(path)
    if data is None:
        raise UserError(
            f"{store.url_of(path)} is gone, though the study's list names it: publish the study again with "
            "`strive reproduce`"
        )
    if entry(data) != of:
        raise UserError(
            f"{store.url_of(path)} is not what the study's list names: it is being published anew, or was damaged. "
            "Pull again; if this stays, `strive check STUDY --repair` and `strive reproduce STUDY` make it again."
        )
    part = file.with_name(f"{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"cannot write {file}: {error.strerror}. Free space there, or name another folder.") from error
