"""A store inside a store, for runs that are trained again: its runs are its own, its data sets those around it."""

import re
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UserError

MARK = "#replica="  # between the store's URL and the replica's name
TOP = "replications"


@dataclass(frozen=True)
class Replica:
    """A backend that keeps everything but data sets below replications/NAME of another."""

    inner: Any
    name: str

    def __post_init__(self):
        if not re.fullmatch(r"[0-9a-z]+", self.name):
            raise UserError(f"a replica's name has small letters and digits only, not {self.name!r}")

    @property
    def url(self) -> str:
        return f"{self.inner.url}{MARK}{self.name}"

    def _there(self, path: str) -> str:
        return path if path.startswith("datasets/") else f"{TOP}/{self.name}/{path}"

    def address(self, path: str) -> str:
        return self.inner.address(self._there(path))

    def get(self, path: str) -> bytes:
        return self.inner.get(self._there(path))

    def get_buffer(self, path: str) -> Any:
        return self.inner.get_buffer(self._there(path))

    def put(self, path: str, data: bytes) -> None:
        self.inner.put(self._there(path), data)

    def create(self, path: str, data: bytes | bytearray) -> None:
        self.inner.create(self._there(path), data)

    def exists(self, path: str) -> bool:
        return self.inner.exists(self._there(path))

    def page(self, prefix: str, after: str) -> Any:
        return self.inner.page(self._there(prefix).rstrip("/"), after)

    def folders(self, prefix: str, after: str) -> Any:
        return self.inner.folders(self._there(prefix).rstrip("/"), after)

    def delete(self, path: str) -> None:
        self.inner.delete(self._there(path))

    def fault(self, error: Exception) -> Any:
        return self.inner.fault(error)
