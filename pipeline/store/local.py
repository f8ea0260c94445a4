"""A folder as a store. fsspec's local writer is neither atomic nor exclusive, so these few calls are written here."""

import mmap
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from errno import EMLINK, ENOSYS, ENOTDIR, ENOTSUP, EOPNOTSUPP, EPERM
from pathlib import Path
from uuid import uuid4

from pipeline.errors import StoreRefused, UserError
from pipeline.store.faults import ANOTHER, Fault, os_fault
from pipeline.store.stamp import Stamp
from pipeline.whole_path import whole_path

_NO_LINKS = (EMLINK, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM)  # what link(2) says where there are none, as on exFAT
ABANDONED_SECONDS = 3600.0  # a temporary file as old as this belongs to a writer that died


class Folder:
    """Objects below one directory: `put` replaces, `create` does not. UserError where the directory is a file."""

    def __init__(self, root: str):
        self.root = whole_path(root)
        self.temporary = self.root / ".tmp"
        self._made = False  # by the first write: reading leaves no trace
        if self.root.exists() and not self.root.is_dir():
            raise UserError(f"the store {self.root} is a file: choose a folder with --store")
        if self.root.is_symlink() and not self.root.exists():
            raise UserError(f"the store {self.root} is a link that leads nowhere: choose another folder with --store")

    @property
    def url(self) -> str:
        return str(self.root)

    def address(self, path: str) -> str:
        return f"{self.root}/{path}"

    def get(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except (IsADirectoryError, NotADirectoryError) as error:
            raise FileNotFoundError(path) from error

    def get_buffer(self, path: str) -> mmap.mmap | bytearray:
        """The object's pages in memory, shared by all processes; a page that is written to is copied first."""
        with open(self.root / path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:  # no memory can be shared of it
                return bytearray()
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def put(self, path: str, data: bytes) -> None:
        file = self._written(path, data)
        try:
            os.replace(file, self.root / path)
        except BaseException:  # Ctrl-C too: no file is left behind
            file.unlink(missing_ok=True)
            raise
        _sync_directory((self.root / path).parent)

    def create(self, path: str, data: bytes | bytearray) -> None:
        """Write an object that must not be there, else FileExistsError: only one process can make a hard link."""
        file = self._written(path, data)
        try:
            os.link(file, self.root / path)
        except OSError as error:
            if error.errno in _NO_LINKS:  # the file itself could be written
                raise StoreRefused(
                    f"the store {self.root}: its file system makes no hard links, by which of several processes one "
                    f"alone creates a file: {ANOTHER}, on another disk"
                ) from error
            raise
        finally:
            file.unlink()
        _sync_directory((self.root / path).parent)

    def exists(self, path: str) -> bool:
        return (self.root / path).is_file()

    def page(self, prefix: str, after: str) -> tuple[dict[str, Stamp], str]:
        """What is known of every object below the folder `prefix`, by path relative to it; there is no further page."""
        top, found = str(self.root / prefix), {}
        for folder, _, names in os.walk(top, onerror=_insist_that_it_is_gone):
            if folder == str(self.temporary):
                continue
            below = "" if folder == top else f"{os.path.relpath(folder, top)}/"
            for name in names:
                with suppress(FileNotFoundError):  # deleted meanwhile
                    about = os.stat(f"{folder}/{name}")
                    found[below + name] = Stamp(about.st_size, about.st_mtime)
        return found, ""

    def folders(self, prefix: str, after: str) -> tuple[set[str], str]:
        """The names of the folders directly below the folder `prefix`; there is no further page."""
        try:
            with os.scandir(self.root / prefix) as found:
                return {one.name for one in found if one.is_dir() and Path(one.path) != self.temporary}, ""
        except FileNotFoundError:
            return set(), ""

    def delete(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)

    def fault(self, error: Exception) -> Fault:
        """What an error of these calls means, with the file where there is one to name."""
        found, file = os_fault(error), getattr(error, "filename", None)
        return replace(found, cause=f"{found.cause} ({file})") if file else found

    def _written(self, path: str, data: bytes | bytearray) -> Path:
        if not self._made:
            self._make()
        self.temporary.mkdir(exist_ok=True)  # where a rule that clears what is hidden took it away
        file = self.temporary / uuid4().hex
        try:
            _make_folder((self.root / path).parent)
            with open(file, "xb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
        except BaseException as error:
            file.unlink(missing_ok=True)  # after Ctrl-C too; on a full disk half a file is in the way of every other
            if isinstance(error, OSError) and error.filename in (None, str(file)):
                error.filename = str(self.root / path)
            raise
        return file

    def insist_that_it_can_be_made(self) -> None:
        """UserError where the directory is not there and cannot be made; nothing is left behind."""
        there = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        if there == self.root:
            return
        try:
            os.rmdir(tempfile.mkdtemp(dir=there))
        except OSError as error:
            why = f"the store {self.root} is not there and cannot be made: {error.strerror}"
            raise UserError(f"{why}. Choose another folder with --store.") from error

    def _make(self) -> None:
        try:
            self.temporary.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = f"cannot create the store {self.root}: {error.strerror}"
            raise UserError(f"{why}. Choose another folder with --store.") from error
        self._made = True
        for file in self.temporary.iterdir():
            try:
                if time.time() - file.stat().st_mtime > ABANDONED_SECONDS:
                    file.unlink()
            except FileNotFoundError:  # its writer has just finished
                pass


def _insist_that_it_is_gone(error: OSError) -> None:
    """Raise what `os.walk` would leave out: a folder that cannot be read is not an empty one."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # to callers this is an object that is there already
        raise NotADirectoryError(ENOTDIR, "Not a directory", error.filename) from None


def _sync_directory(folder: Path) -> None:
    """Write a directory to disk: without it a rename may not survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
