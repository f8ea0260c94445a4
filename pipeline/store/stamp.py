"""What a listing tells of an object, without a request for it."""

from typing import NamedTuple


class Stamp(NamedTuple):
    """Length and age of an object."""

    bytes: int  # its length
    written: float  # seconds since 1970, by the store's clock
