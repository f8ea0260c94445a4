"""An S3 bucket through s3fs, with the usual AWS_* variables (AWS_ENDPOINT_URL included)."""

import os
from http.client import HTTPException

import aiohttp
import fsspec
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.errors import UserError
from pipeline.runtime.settings import endpoint

PIECE = 64 << 20  # bytes of one request
TRANSIENT = (BotoCoreError, ClientError, aiohttp.ClientError, HTTPException)


class Bucket:
    """Objects below s3://bucket/prefix. A PUT is atomic there, and `create` is a conditional one."""

    def __init__(self, url: str):
        self.root = url.removeprefix("s3://").strip("/")
        self.url = f"s3://{self.root}"
        if not self.root:
            raise UserError(f"the store {url!r} names no bucket: write s3://bucket/prefix")
        self.fs = filesystem()

    def get(self, path: str) -> bytes:
        return self.fs.cat_file(f"{self.root}/{path}")

    def get_buffer(self, path: str) -> bytearray:
        """The object's bytes, read piece by piece: two copies of a large one may not fit into memory."""
        size = self.fs.info(f"{self.root}/{path}")["size"]
        out = bytearray(size)
        for begin in range(0, size, PIECE):
            end = min(begin + PIECE, size)
            out[begin:end] = self.fs.cat_file(f"{self.root}/{path}", start=begin, end=end)
        return out

    def put(self, path: str, data: bytes) -> None:
        self.fs.pipe_file(f"{self.root}/{path}", data)

    def create(self, path: str, data: bytes | bytearray) -> None:
        """Write an object that must not be there, else FileExistsError (If-None-Match: *)."""
        self.fs.pipe_file(f"{self.root}/{path}", data, mode="create")

    def exists(self, path: str) -> bool:
        try:  # not fs.isfile, which takes every error for a no
            return self.fs.info(f"{self.root}/{path}")["type"] == "file"
        except FileNotFoundError:
            return False

    def names(self, prefix: str) -> list[str]:
        """Every object below the folder `prefix`, as paths relative to it."""
        top = f"{self.root}/{prefix}".rstrip("/") + "/"
        return sorted(name.removeprefix(top) for name in self.fs.find(top) if name.startswith(top))

    def sizes(self, prefix: str) -> dict[str, int]:
        """The length in bytes of every object below the folder `prefix`, by path relative to it."""
        top = f"{self.root}/{prefix}".rstrip("/") + "/"
        found = self.fs.find(top, detail=True)
        return {name.removeprefix(top): about["size"] for name, about in found.items() if name.startswith(top)}

    def delete(self, path: str) -> None:
        self.fs.rm_file(f"{self.root}/{path}")


def filesystem():
    """s3fs without a listing cache, which would hide what others write, and without retries: `Store` makes them."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    config = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60}
    fs = fsspec.filesystem(
        "s3",
        use_listings_cache=False,
        # passed though botocore would find it: fsspec caches one client for equal arguments, whatever the environment
        endpoint_url=endpoint(),
        config_kwargs=config,
        client_kwargs={"region_name": region} if region else {},
    )
    fs.retries = 1
    return fs
