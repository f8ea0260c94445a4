"""The note beside a picture: what it shows, and the digests that its files had when they were drawn."""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.records.dataset import StoredObject
from pipeline.records.record import SEAL, DamagedRecord, sealed, to_json, unsealed
from pipeline.store.objects import Store, sha256

REMEDY = "`strive check STUDY --repair` and `strive reproduce STUDY` draw the picture again."


def is_note(name: str) -> bool:
    """Whether an object of this name beside the pictures is a note: others put objects there, too."""
    return re.fullmatch(r".+\.[0-9a-f]{8}\.json", name) is not None  # as `Picture.name` makes them


def note(name: str, about: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """The note of a picture with these files, as bytes."""
    entries = {file: {"sha256": sha256(data), "bytes": len(data)} for file, data in files.items()}
    return to_json(sealed({"name": name, "files": entries} | dict(about)))


def read(store: Store, path: str) -> dict[str, Any]:
    """The note at `path`; DamagedRecord where it is not what was written there."""
    return parsed(store.read(path), store.url_of(path))


def parsed(data: bytes, address: str) -> dict[str, Any]:
    """The note in these bytes; DamagedRecord where they are not what was written."""
    found = unsealed(data, address, REMEDY)
    if not isinstance(found, dict) or ("files" in found) != (SEAL in found):  # earlier code wrote neither
        raise DamagedRecord(f"{address} is damaged: it is no note of a picture. {REMEDY}")
    if "name" in found and not address.endswith(f"/{found['name']}.json"):
        raise DamagedRecord(f"{address} is damaged: it is the note of {found['name']}. {REMEDY}")
    return found


def files_of(data: bytes, address: str) -> dict[str, StoredObject]:
    """The files of a note, by name; none of earlier code, which did not say."""
    files = parsed(data, address).get("files", {})
    return {name: StoredObject.from_plain(made, address) for name, made in files.items()}
