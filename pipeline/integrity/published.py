"""Faults of what is published of a study: editions, tables, page, gallery, lists."""

from collections.abc import Iterator, Mapping

from pipeline.integrity.fault import GONE, Fault, reason
from pipeline.publication import pull
from pipeline.publication.latest import digest_of
from pipeline.records.dataset import StoredObject
from pipeline.records.published import Edition, Inputs, StudyManifest
from pipeline.records.record import DamagedRecord, Record
from pipeline.store.objects import Store, sha256
from pipeline.store.paths import StudyFolder

MEANS, FIX = "readers find something else than was published", "`strive reproduce` makes it again"
EARLIER = "an earlier publication can no longer be looked at whole"


def published_faults(store: Store, study: str, whole: bool) -> Iterator[Fault]:
    """Of a study's own folder; unless `whole`, earlier editions are left out."""
    folder = StudyFolder(study)
    last, listed = None, {}
    try:
        last = store.find_record(Edition, folder.latest)
    except DamagedRecord as error:
        yield _derived(store, folder.latest, error)
    try:
        listed = pull.listed(store, study) or {}
    except DamagedRecord as error:
        yield _derived(store, folder.files, error)
    for kind, path in ((Inputs, folder.inputs), (StoredObject, folder.gallery_note), (StudyManifest, folder.manifest)):
        yield from _record_fault(store, kind, path, last, folder)
    own = {path: of for path, of in listed.items() if path.startswith(f"{folder.top}/")}
    own |= {folder.object(name): of for name, of in (last.files if last else {}).items()}
    own |= {folder.gallery: page} if (page := _gallery(store, folder)) else {}
    for path, of in own.items():
        if path not in (folder.manifest, folder.latest) and (why := _wrong(store, path, of)):
            yield Fault(store.url_of(path), why, MEANS, FIX, remove=(path,))
    yield from _editions(store, folder, last, whole)


def _gallery(store: Store, folder: StudyFolder) -> StoredObject | None:
    try:
        return store.find_record(StoredObject, folder.gallery_note)
    except DamagedRecord:
        return None


def _record_fault(
    store: Store, kind: type[Record], path: str, last: Edition | None, folder: StudyFolder
) -> Iterator[Fault]:
    try:
        found = store.find_record(kind, path)
        if not isinstance(found, StudyManifest) or found.study == folder.name:
            return
        why = f"it is the manifest of {found.study}"
    except DamagedRecord as error:
        why = reason(error, store.url_of(path))
    if kind is StudyManifest and last and "manifest.json" in last.files:
        data = store.find(folder.edition(last.digest, "manifest.json"))
        if data is not None and sha256(data) == last.files["manifest.json"].sha256:
            fix = "it is copied from the latest edition"
            yield Fault(store.url_of(path), why, MEANS, fix, write={path: data})
            return
    yield Fault(store.url_of(path), why, MEANS, FIX, remove=(path,))


def _editions(store: Store, folder: StudyFolder, last: Edition | None, whole: bool) -> Iterator[Fault]:
    names = store.names(folder.object("editions"))
    digests = dict.fromkeys(name.split("/")[0] for name in names)
    for digest in digests if whole else [last.digest] if last else []:
        note = folder.edition(digest, "edition.json")
        is_latest = last is not None and last.digest == digest
        try:
            found = store.find_record(Edition, note)
            if found and (found.digest != digest or digest_of(found.files) != digest):
                yield _edition_fault(store, note, note, "it is the note of another edition", is_latest)
                continue
        except DamagedRecord as error:
            yield _edition_fault(store, note, note, reason(error, store.url_of(note)), is_latest)
            continue
        yield from _edition_files(store, folder, digest, found.files if found else {}, is_latest)


def _edition_files(
    store: Store, folder: StudyFolder, digest: str, files: Mapping[str, StoredObject], is_latest: bool
) -> Iterator[Fault]:
    note = folder.edition(digest, "edition.json")
    for name, of in files.items():
        path = folder.edition(digest, name)
        if why := _wrong(store, path, of):
            yield _edition_fault(store, path, note, why, is_latest)


def _edition_fault(store: Store, path: str, note: str, why: str, is_latest: bool) -> Fault:
    if is_latest:
        latest = f"{note.split('/editions/')[0]}/latest.json"
        return Fault(store.url_of(path), why, MEANS, FIX, remove=(*{path: 0, note: 0, latest: 0},))
    return Fault(store.url_of(path), why, EARLIER, "what is left of it is set aside", aside=(*{path: 0, note: 0},))


def _derived(store: Store, path: str, error: Exception) -> Fault:
    return Fault(store.url_of(path), reason(error, store.url_of(path)), MEANS, FIX, remove=(path,))


def _wrong(store: Store, path: str, of: StoredObject) -> str:
    data = store.find(path)
    if data is None:
        return GONE
    return "" if sha256(data) == of.sha256 else "its SHA-256 is not that of what was published"
