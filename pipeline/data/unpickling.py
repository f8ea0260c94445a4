"""The published CIFAR files are pickles, and a pickle is a program. This one reads data and can call nothing.

Where a pickle names a class or a function, it gets one of the stand-ins below, whatever stands behind the name; they
have no attributes that could be set, and arrays are built by us from bytes whose number is checked.
"""

import io
import math
import pickle
import pickletools
import struct
from typing import Any

import numpy as np

PLAIN = {"u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"}  # the kinds of numbers an array may hold
DEPTH = 8  # of lists in lists
TUPLES = 1000  # an array has four or five; hashing or printing many within each other overflows the stack
BROKEN = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


class Untrusted(ValueError):
    """These bytes are no pickle of plain data; the message says what they ask for."""


def unpickle(data: bytes) -> Any:
    """The arrays, lists, dicts, texts, bytes and whole numbers in a pickle; Untrusted when it holds anything else."""
    try:
        _sized(data)
        return _plain(_Unpickler(io.BytesIO(data), encoding="bytes").load(), {})
    except Untrusted:
        raise
    except BROKEN as error:
        raise Untrusted(f"no whole pickle ({type(error).__name__}: {error})") from error


def _sized(data: bytes) -> None:
    """Untrusted when reading these bytes would take more memory, or a deeper stack, than bytes of plain data do."""
    tuples = 0
    for operation, given, _ in pickletools.genops(data):
        if operation.name.endswith("PUT") and int(given or 0) > len(data):
            raise Untrusted(f"it wants to remember {given} values, and has {len(data)} bytes")
        tuples += operation.name.startswith("TUPLE")
        if tuples > TUPLES:
            raise Untrusted(f"it holds more than {TUPLES} tuples")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """A stand-in; the modules that pickles name are never imported."""
        if (module, name) not in _STAND_INS:
            raise Untrusted(f"it wants to call {module}.{name}")
        return _STAND_INS[module, name]


class _Dtype:
    """numpy.dtype(name, align, copy), then BUILD with (version, byte order, and what only compound kinds have)."""

    __slots__ = ("kind", "order")

    def __init__(self, kind: str | bytes):
        self.kind = kind.decode("ascii") if isinstance(kind, bytes) else kind
        self.order = "="
        if self.kind not in PLAIN:
            raise Untrusted(f"it holds an array of {self.kind!r}")

    def __setstate__(self, state: tuple) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in ("|", "<", ">", "=") or any(part is not None for part in state[2:5]):
            raise Untrusted(f"it holds an array of an unusual kind: {state!r:.100}")
        self.order = order


class _Array:
    """An empty array, then BUILD with (version, shape, dtype, whether in Fortran's order, bytes)."""

    __slots__ = ("value",)

    def __init__(self):
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        if type(dtype) is not _Dtype or type(data) is not bytes or not all(type(n) is int and n >= 0 for n in shape):
            raise Untrusted("it holds an array that is not made of bytes")
        kind = np.dtype(f"{dtype.order}{dtype.kind}")
        if math.prod(shape) * kind.itemsize != len(data):
            raise Untrusted(f"it holds {len(data)} bytes for an array of shape {shape}")
        self.value = np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


class _MakeArray:
    """numpy's _reconstruct(ndarray, (0,), b"b")."""

    __slots__ = ()

    def __call__(self, kind: Any, shape: tuple, typecode: bytes) -> _Array:
        if kind is not _NDARRAY or shape != (0,) or typecode not in (b"b", "b"):
            raise Untrusted("it wants to make something else than an array")
        return _Array()


class _MakeDtype:
    """numpy.dtype(kind, align, copy)."""

    __slots__ = ()

    def __call__(self, kind: str | bytes, _align: int = 0, _copy: int = 1) -> _Dtype:
        return _Dtype(kind)


_NDARRAY = "numpy.ndarray"  # a name alone: it cannot be called
_MAKE_ARRAY = _MakeArray()
_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _MAKE_ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _MAKE_ARRAY,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _MakeDtype(),
}


def _plain(value: Any, known: dict[int, Any], depth: int = 0) -> Any:
    """The value without stand-ins; a list that lies in several places is looked through once, and `known` after."""
    if depth > DEPTH:
        raise Untrusted(f"it holds more than {DEPTH} lists within each other")
    if id(value) in known:
        return known[id(value)]
    match value:
        case _Array(value=np.ndarray() as array):
            return array
        case dict():
            made = {_word(key): _plain(part, known, depth + 1) for key, part in value.items()}
        case list():
            made = [_plain(part, known, depth + 1) for part in value]
        case str() | bytes() | int() if type(value) is not bool and value is not _NDARRAY:
            return value
        case _:
            raise Untrusted(f"it holds a {type(value).__name__.lstrip('_')}")
    known[id(value)] = made
    return made


def _word(key: Any) -> str:
    """A key as text; Python 2 wrote bytes."""
    if not isinstance(key, str | bytes):
        raise Untrusted(f"it holds a dict with the key {key!r:.50}")
    return key.decode("ascii") if isinstance(key, bytes) else key
