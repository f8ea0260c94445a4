"""Reading the editions of a study's tables, light: the latest, a file of it, and the list of all."""

from collections.abc import Mapping

from pipeline.records.dataset import StoredObject
from pipeline.records.published import Edition
from pipeline.records.record import DamagedRecord
from pipeline.store.objects import Store, sha256, to_json
from pipeline.store.paths import StudyFolder


def digest_of(entries: Mapping[str, StoredObject]) -> str:
    """The name of an edition with these files."""
    return sha256(to_json({name: entry.sha256 for name, entry in entries.items()}))[:12]


def edition(store: Store, study: str) -> Edition | None:
    """The edition that `latest.json` names; None where there is none, as in a store of earlier code."""
    return store.find_record(Edition, StudyFolder(study).latest)


def read(store: Store, study: str, name: str) -> bytes | None:
    """A file of the latest edition, held against its digest; in a store of earlier code, the one with the stable name.

    None where there is none.
    """
    folder, found = StudyFolder(study), edition(store, study)
    if found is None or name not in found.files:
        return store.find(folder.object(name)) if found is None else None
    path = folder.edition(found.digest, name)
    data = store.find(path)
    if data is None or sha256(data) != found.files[name].sha256:
        raise DamagedRecord(f"{store.url_of(path)} is damaged: its SHA-256 is not its edition's. {Edition.REMEDY}")
    return data


def listed(store: Store, study: str) -> list[Edition]:
    """Every edition that is whole, the oldest first, from what lies there; those of earlier code from their list."""
    folder = StudyFolder(study)
    notes = [name for name in store.names(folder.object("editions")) if name.endswith("/edition.json")]
    found = [store.read_record(Edition, folder.object(f"editions/{name}")) for name in notes]
    known = {edition.digest for edition in found}
    older = store.find_json(folder.old_editions) or []
    found += [Edition(**entry, files={}) for entry in older if entry["digest"] not in known]
    return sorted(found, key=lambda edition: (edition.at, edition.digest))
