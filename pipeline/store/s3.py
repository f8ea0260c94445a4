"""An S3 bucket through s3fs, with the usual AWS_* variables (AWS_ENDPOINT_URL included)."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from http.client import HTTPException
from typing import Any, TypeVar

import aiohttp
import fsspec
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.errors import StoreRefused, UserError
from pipeline.runtime.settings import endpoint
from pipeline.store.faults import Fault
from pipeline.store.s3_faults import NO_BUCKET, code_of, s3_fault
from pipeline.store.stamp import Stamp

T = TypeVar("T")
PIECE = 64 << 20  # bytes of one request
CONNECT_SECONDS, READ_SECONDS = 5, 25  # of one try; twice the sum is a minute, in which a look gives up
SLOWEST = 256 << 10  # bytes a second of an upload that goes on
CONNECTIONS = 50  # at once; requests that wait in line for one would wait without a timeout
LISTED = {"Name", "IsTruncated", "KeyCount", "MaxKeys", "Contents", "CommonPrefixes"}  # one of them in every listing
WITHOUT_WORDS = ("400", "403", "404", "Bad Request", "Forbidden")  # codes of an answer that has no body
for _name in ("botocore", "aiobotocore", "s3fs"):  # what they log is said by the error that follows, without traceback
    logging.getLogger(_name).addHandler(logging.NullHandler())
TRANSIENT = (BotoCoreError, ClientError, aiohttp.ClientError, HTTPException)


class Bucket:
    """Objects below s3://bucket/prefix. A PUT is atomic there, and `create` is a conditional one."""

    def __init__(self, url: str):
        self.root = url.removeprefix("s3://").strip("/")
        self._bucket, _, self._top = self.root.partition("/")
        self.url = f"s3://{self.root}"
        if not self.root:
            raise UserError(f"the store {url!r} names no bucket: write s3://bucket/prefix")
        self.fs = filesystem()
        self._has_bucket = False  # once it was seen

    def address(self, path: str) -> str:
        return f"{self.url}/{path}"

    def get(self, path: str) -> bytes:
        return self._call(lambda: self._wait_for(self._read(path)))

    def get_buffer(self, path: str) -> bytearray:
        """The object's bytes, read piece by piece: two copies of a large one may not fit into memory."""
        size = self._call(lambda: self.fs.info(f"{self.root}/{path}")["size"])
        out = bytearray(size)
        for begin in range(0, size, PIECE):
            end = min(begin + PIECE, size)
            out[begin:end] = self.fs.cat_file(f"{self.root}/{path}", start=begin, end=end)
        return out

    def put(self, path: str, data: bytes) -> None:
        self._call(lambda: self._upload(path, data, "overwrite"))

    def create(self, path: str, data: bytes | bytearray) -> None:
        """Write an object that must not be there, else FileExistsError (If-None-Match: *)."""
        self._call(lambda: self._upload(path, data, "create"))

    def exists(self, path: str) -> bool:
        """One HEAD; s3fs would look for a folder of the name, too."""
        try:
            said = self._call(lambda: self.fs.call_s3("head_object", Bucket=self._bucket, Key=self._key(path)))
            self._insist_on_no_page(path, said)
            return True
        except FileNotFoundError:
            return False

    def page(self, prefix: str, after: str) -> tuple[dict[str, Stamp], str]:
        """What a LIST tells of the first 1,000 objects below the folder `prefix`, by path relative to it, and where the
        next page begins; without keys that are no paths of files, such as those that end in a slash, which consoles
        make."""
        top, said, after = self._list(prefix, after)
        found = {one["Key"].removeprefix(top): one for one in said.get("Contents", [])}
        files = {name: one for name, one in found.items() if not {"", ".", ".."} & set(name.split("/"))}
        stamps = {name: Stamp(one["Size"], one["LastModified"].timestamp()) for name, one in files.items()}
        return stamps, after

    def folders(self, prefix: str, after: str) -> tuple[set[str], str]:
        """The names of the first 1,000 folders directly below the folder `prefix`, and where the next page begins."""
        top, said, after = self._list(prefix, after, Delimiter="/")
        names = {one["Prefix"].removeprefix(top).rstrip("/") for one in said.get("CommonPrefixes", [])}
        return names - {"", ".", ".."}, after

    def _list(self, prefix: str, after: str, **more: str) -> tuple[str, dict[str, Any], str]:
        """One LIST: what the keys begin with, the answer, and where the next page begins."""
        top = self._key(prefix).rstrip("/")
        top = f"{top}/" if top else ""
        more |= {"ContinuationToken": after} if after else {}
        said = self._call(lambda: self.fs.call_s3("list_objects_v2", Bucket=self._bucket, Prefix=top, **more))
        if not said.keys() & LISTED:
            raise self._no_s3()
        return top, said, said.get("NextContinuationToken", "") if said.get("IsTruncated") else ""

    def delete(self, path: str) -> None:
        self._call(lambda: self.fs.rm_file(f"{self.root}/{path}"))

    def fault(self, error: Exception) -> Fault:
        """What an error of these calls means; where the server's answer had no words, it is asked for some."""
        if code_of(error) in WITHOUT_WORDS:
            try:
                self._list_one()
            except Exception as worded:  # what the first may be, this may: all that botocore, aiohttp and s3fs raise
                error = worded
        return s3_fault(error, self._bucket, endpoint())

    def _call(self, call: Callable[[], T]) -> T:
        """What `call` returns; StoreRefused where an object is missed because its bucket is."""
        try:
            answer = call()
            self._has_bucket = True
            return answer
        except FileNotFoundError as error:
            if code_of(error) == NO_BUCKET:
                self._has_bucket = False
            self._insist_on_bucket()
            raise

    def _key(self, path: str) -> str:
        return f"{self._top}/{path}" if self._top else path

    def _wait_for(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self.fs.loop).result()

    async def _read(self, path: str) -> bytes:
        """One GET; s3fs would ask for the length first."""
        said = await self.fs._call_s3("get_object", Bucket=self._bucket, Key=self._key(path))
        self._insist_on_no_page(path, said)
        async with said["Body"] as body:
            return await body.read()

    def _upload(self, path: str, data: bytes | bytearray, mode: str) -> None:
        """One put; TimeoutError where the server takes nothing, for which its client waits without end."""
        seconds = CONNECT_SECONDS + READ_SECONDS + len(data) / SLOWEST
        put = self.fs._pipe_file(f"{self.root}/{path}", data, mode=mode)
        self._wait_for(_in_time(put, seconds))

    def _insist_on_bucket(self) -> None:
        if self._has_bucket:
            return
        try:
            self._list_one()
        except FileNotFoundError as error:
            fault = self.fault(error)
            raise StoreRefused(f"the store {self.url}: {fault.cause}: {fault.remedy}") from error
        self._has_bucket = True

    def _insist_on_no_page(self, path: str, said: dict[str, Any]) -> None:
        """StoreRefused where a web server answers with a page: it would be read as an object."""
        if said.get("ContentType", "").startswith("text/html") and not path.endswith(".html"):
            raise self._no_s3()

    def _no_s3(self) -> StoreRefused:
        at = endpoint() or "Amazon S3"
        return StoreRefused(f"the store {self.url}: {at} answers, but not as an S3 server: correct AWS_ENDPOINT_URL")

    def _list_one(self) -> None:
        self.fs.call_s3("list_objects_v2", Bucket=self._bucket, MaxKeys=1)


async def _in_time(call: Coroutine, seconds: float) -> None:
    try:
        await asyncio.wait_for(call, seconds)
    except TimeoutError:
        raise TimeoutError(f"it took nothing in {seconds:.0f} s") from None


def filesystem():
    """s3fs without a listing cache, which would hide what others write, and without retries: `Store` makes them."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    config = {
        "retries": {"total_max_attempts": 1},
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "max_pool_connections": CONNECTIONS,
        "signature_version": "s3v4",  # botocore still signs addresses by version 2, which most servers refuse
    }
    at = endpoint()
    try:
        fs = fsspec.filesystem(
            "s3",
            use_listings_cache=False,
            # passed though botocore would find it: fsspec caches one client for equal arguments
            endpoint_url=at,
            config_kwargs=config,
            client_kwargs={"region_name": region} if region else {},
        )
        with suppress(*TRANSIENT, OSError):  # the first call says it again, and is answered for
            fs.connect()
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # whatever a setting of another kind leads to
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"the S3 client's settings are not right ({said}): correct the AWS_* variables, the profile in "
            "~/.aws/config (AWS_CONFIG_FILE), or fsspec's own settings (FSSPEC_* variables, files in FSSPEC_CONFIG_DIR)"
        ) from error
    fs.retries = 1
    fs.loop.set_exception_handler(_heard)
    return fs


def _heard(loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
    """asyncio prints a traceback of an error that none waited for: of a lost connection its call has told already."""
    if not isinstance(about.get("exception"), OSError | aiohttp.ClientError):
        loop.default_exception_handler(about)
