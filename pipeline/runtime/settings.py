"""The environment as one frozen value; infra/settings.env lists every variable."""

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError

TOGETHER = 4  # experiments that are trained side by side on a GPU, until one has shown that more pays


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
    """Where downloads are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "strive" / "data"


def mirror() -> str | None:
    """An address below which published archives lie by name, asked before their own mirrors."""
    return os.environ.get("STRIVE_DATA_MIRROR") or None


def endpoint() -> str | None:
    """Where the S3 server answers; None: Amazon's own."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def settings(store: str | None = None, workers: int | None = None, data_dir: str | None = None) -> Settings:
    """The settings in force: what is given here, else the environment, else the defaults."""
    if workers is None and (text := os.environ.get("STRIVE_WORKERS")):
        if not text.isdigit():
            raise UserError(f"STRIVE_WORKERS must be a whole number, not {text!r}")
        workers = int(text)
    if workers is not None and workers < 1:
        raise UserError(f"at least one worker is needed, not {workers}")
    return Settings(
        store or os.environ.get("STRIVE_STORE") or "strive-store",
        workers,
        data_dir or os.environ.get("STRIVE_DATA_DIR") or None,
        os.environ.get("STRIVE_PRECISION") or None,
        os.environ.get("STRIVE_DETERMINISTIC", "0") not in ("", "0"),
        os.environ.get("STRIVE_GRAPH", "1") != "0",
        _price(os.environ.get("STRIVE_PRICE_PER_DEVICE_HOUR")),
    )


def _price(text: str | None) -> float | None:
    if not text:
        return None
    try:
        price = float(text)
    except ValueError:
        price = -1.0
    if not 0 <= price < float("inf"):
        raise UserError(f"STRIVE_PRICE_PER_DEVICE_HOUR must be a number of 0 or more, not {text!r}")
    return price
