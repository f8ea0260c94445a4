"""Commands that answers name: as they can be typed here, with the store where it is not the usual one."""

import shlex

from pipeline.errors import UserError
from pipeline.runtime.settings import settings
from pipeline.store.objects import LOOK_SECONDS, Store, open_store


def command(store: Store, *words: str) -> str:
    """`strive WORDS`, in backticks, and --store where the settings alone would not lead to this store."""
    named = () if _usual() == store.url else ("--store", store.url)
    return f"`{shlex.join(['strive', *words, *named])}`"


def _usual() -> str | None:
    """The store of the settings alone; None where they name none that there can be."""
    try:
        return open_store(settings().store, LOOK_SECONDS).url
    except UserError:
        return None
