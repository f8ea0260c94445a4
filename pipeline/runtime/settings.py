"""The environment as one frozen value; infra/settings.env lists every variable."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from pipeline.errors import UserError

PATIENCE_SECONDS = 900.0  # that a store which does not answer is waited for
MOST_WORKERS = 100_000
TOGETHER = 4  # experiments that are trained side by side on a GPU, until one has shown that more pays

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What may differ between two machines that run the same study."""

    store: str  # folder or s3://bucket/prefix
    workers: int | None  # training processes; None: one for every GPU, else every CPU core
    data_dir: str | None  # where unpacked data sets lie; None: they are downloaded
    precision: str | None = None  # float32 or bfloat16; None: what a probe of the machine says
    deterministic: bool = False  # on a GPU: the same bits every time, slower
    graph: bool = True  # on a GPU: whole steps are recorded and replayed; without, they are made one by one, slower
    price: float | None = None  # of an hour of one device, in whatever money; None: tables show no cost


def cache() -> Path:
    """Where downloads are kept; UserError where no home folder is known."""
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "strive" / "data"
    try:
        return Path.home() / ".cache" / "strive" / "data"
    except RuntimeError as error:
        raise UserError("no home folder is known: set HOME or XDG_CACHE_HOME to a folder of your own") from error


def mirror() -> str | None:
    """An address below which published archives lie by name, asked before their own mirrors."""
    return os.environ.get("STRIVE_DATA_MIRROR") or None


def public_store() -> str | None:
    """The address below which a web server shows the store's objects, if one does."""
    return os.environ.get("STRIVE_PUBLIC_STORE") or None


def endpoint() -> str | None:
    """Where the S3 server answers; None: Amazon's own. UserError where it is no address."""
    name = "AWS_ENDPOINT_URL_S3" if os.environ.get("AWS_ENDPOINT_URL_S3") else "AWS_ENDPOINT_URL"
    url = os.environ.get(name) or None
    if url and not _is_address(url):
        raise UserError(f"{name} must be an address such as http://host:9000, not {url!r}")
    return url


def _is_address(url: str) -> bool:
    try:
        port = urlsplit(url).port  # ValueError where it is no number of 0 to 65535, or a bracket is not closed
    except ValueError:
        return False
    return port != 0 and re.fullmatch(r"https?://[^/\s:]([^/\s]*)(/\S*)?", url) is not None


def patience() -> float:
    """Seconds that work waits for a store that does not answer."""
    return _number("STRIVE_STORE_PATIENCE", os.environ.get("STRIVE_STORE_PATIENCE"), PATIENCE_SECONDS)


def settings(store: str | None = None, workers: int | None = None, data_dir: str | None = None) -> Settings:
    """The settings in force: what is given here, else the environment, else the defaults."""
    if workers is None and (text := os.environ.get("STRIVE_WORKERS")):
        if not text.isdecimal():
            raise UserError(f"STRIVE_WORKERS must be a whole number of 1 or more, not {text!r}")
        workers = int(text)
    if workers is not None and workers < 1:
        raise UserError(f"at least one worker is needed, not {workers}")
    if workers is not None and workers > MOST_WORKERS:
        raise UserError(f"there can be {MOST_WORKERS:,} workers at most, not {workers:,}")
    return Settings(
        store or os.environ.get("STRIVE_STORE") or "strive-store",
        workers,
        data_dir or os.environ.get("STRIVE_DATA_DIR") or None,
        os.environ.get("STRIVE_PRECISION") or None,
        os.environ.get("STRIVE_DETERMINISTIC", "0") not in ("", "0"),
        os.environ.get("STRIVE_GRAPH", "1") != "0",
        _number("STRIVE_PRICE_PER_DEVICE_HOUR", os.environ.get("STRIVE_PRICE_PER_DEVICE_HOUR"), None),
    )


def _number(name: str, text: str | None, default: T) -> float | T:
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise UserError(f"{name} must be a number of 0 or more, not {text!r}")
    return number
