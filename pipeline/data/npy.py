"""Arrays and the bytes of .npy files, with no second copy in memory and no pickle."""

import io
import math
import re
from collections.abc import Callable

import numpy as np
from numpy.lib import format

from pipeline.errors import UserError
from pipeline.records.dataset import StoredObject
from pipeline.store.objects import Buffer, Store, sha256

_HEADER = re.compile(rb"\{'descr': '([^']+)', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n")


def blank(shape: tuple[int, ...], dtype: np.dtype | type) -> tuple[bytearray, np.ndarray]:
    """The bytes of a .npy file, and the array in them, which is yet to be filled."""
    kind = np.dtype(dtype)
    header = io.BytesIO()
    about = {"descr": format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    format.write_array_header_1_0(header, about)
    begin = header.tell()
    data = bytearray(begin + math.prod(shape) * kind.itemsize)
    data[:begin] = header.getvalue()
    return data, np.frombuffer(data, kind, offset=begin).reshape(shape)


def npy(array: np.ndarray) -> bytearray:
    """The array as the bytes of a .npy file."""
    data, inside = blank(array.shape, array.dtype)
    inside[...] = array
    return data


def array_of(data: Buffer) -> np.ndarray:
    """The array in the bytes of a .npy file, lying where they lie. ValueError for a file that strive did not write.

    numpy's own reader parses the header with `ast`, which fails now and then in threads under Python 3.11 (SystemError,
    "AST constructor recursion depth mismatch"), and shards are read in threads.
    """
    head = io.BytesIO(data[:1024])
    if (version := format.read_magic(head)) != (1, 0):
        raise ValueError(f"a .npy file of version {version}, which strive does not write")
    length = int.from_bytes(head.read(2), "little")
    if (header := _HEADER.fullmatch(head.read(length))) is None:
        raise ValueError("a .npy file of objects, in Fortran's order or of records, which strive does not write")
    dtype, shape = np.dtype(header[1].decode()), tuple(map(int, re.findall(rb"\d+", header[2])))
    if dtype.hasobject:
        raise ValueError("a .npy file of objects, which strive does not write")
    return np.frombuffer(data, dtype, offset=head.tell()).reshape(shape)


def kept(store: Store, path: str, content: bytes | bytearray) -> StoredObject:
    """Put the object unless there is one; digest and length of the one that is there, as a manifest has them."""
    there = content if store.create(path, content) else store.read_buffer(path)
    return StoredObject(sha256(there), len(there))


def reader(store: Store, folder: str, objects: dict[str, StoredObject]) -> Callable[[str], Buffer]:
    """Reads objects below a folder by name, each held against its SHA-256 in `objects`."""

    def read(name: str) -> Buffer:
        where, fix = store.url_of(f"{folder}/{name}"), f"Delete {store.url_of(folder)} and run again."
        if name not in objects:
            raise UserError(f"{store.url_of(folder)}/manifest.json is damaged: it does not name {name}. {fix}")
        try:
            data = store.read_buffer(f"{folder}/{name}")
        except FileNotFoundError as error:
            raise UserError(f"{where} is gone, though the manifest names it. {fix}") from error
        if sha256(data) != objects[name].sha256:
            raise UserError(f"{where} is damaged: its SHA-256 is not the manifest's. {fix}")
        return data

    return read
