"""Addresses that open in a browser, for the pages that a store holds."""

import mimetypes

from pipeline.runtime.settings import public_store
from pipeline.store.objects import Store

OPEN_SECONDS = 7 * 24 * 3600  # of a signed address: the most that S3 allows


def link(store: Store, path: str) -> str | None:
    """Where a browser reads the object: below STRIVE_PUBLIC_STORE if that is set, else by an address of S3 that is
    signed for a week; None for a folder, which other machines do not see."""
    if public := public_store():
        return f"{public.rstrip('/')}/{path}"
    if not store.url.startswith("s3://"):
        return None
    from pipeline.store.s3 import filesystem

    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return filesystem().sign(store.url_of(path), expiration=OPEN_SECONDS, ResponseContentType=kind)
