"""How a record is written and read: with a digest of itself, every field checked against its type; what does not fit is
one sentence. Records of older code have no digest, and are read without."""

import hashlib
import json
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

from pipeline.errors import UserError

T = TypeVar("T")
SEAL = "record_sha256"  # the field with the SHA-256 of all other fields
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class DamagedRecord(UserError):
    """An object in the store does not hold what it should: which one, what is wrong with it, and what to do."""


class Mismatch(ValueError):
    """A value does not fit its field; the message is the end of a sentence about the object."""


@dataclass(frozen=True)
class Record:
    """An object in the store. Fields with a default may be missing there: older code did not write them."""

    REMEDY: ClassVar[str]  # a sentence: what to do when the object is damaged
    SEALED: ClassVar[bool] = True  # whether it is written with a digest of itself

    @classmethod
    def from_json(cls, data: bytes, address: str) -> Self:
        """The record in the bytes of the object at `address`; raises DamagedRecord."""
        value = unsealed(data, address, cls.REMEDY)
        if cls.SEALED and isinstance(value, dict) and SEAL not in value:
            known = {field.name for field in fields(cls)}
            if unknown := value.keys() - known:  # later code adds fields, and then a digest too
                raise DamagedRecord(f"{address} is damaged: {min(unknown)!r} is no field of it. {cls.REMEDY}")
        return cls.from_plain(value, address)

    def to_json(self) -> bytes:
        """The bytes of the object that holds the record."""
        return to_json(sealed(self.plain()) if self.SEALED else self.plain())

    @classmethod
    def from_plain(cls, value: Any, address: str) -> Self:
        """The record that `plain` wrote; fields that this code does not know are left out. Raises DamagedRecord."""
        try:
            return _record(cls, value)
        except Mismatch as error:
            raise DamagedRecord(f"{address} is damaged: {error}. {cls.REMEDY}") from error

    def plain(self) -> dict[str, Any]:
        """The record as JSON holds it."""
        return asdict(self)


def to_json(value: Any) -> bytes:
    """A value as JSON: keys sorted, indented; ValueError for NaN and infinity."""
    return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n").encode()


def sealed(plain: dict[str, Any]) -> dict[str, Any]:
    """The fields with the digest of them all."""
    return {**plain, SEAL: _digest(plain)}


def unsealed(data: bytes, address: str, remedy: str) -> Any:
    """What the JSON of an object says; DamagedRecord where it is none, or not what its digest names, if it has one."""
    try:
        value = json.loads(data, parse_constant=_refused, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise DamagedRecord(f"{address} is damaged: it is not JSON. {remedy}") from error
    if isinstance(value, dict) and SEAL in value:
        others = {name: field for name, field in value.items() if name != SEAL}
        if _digest(others) != value[SEAL] or to_json(value) != data:
            raise DamagedRecord(f"{address} is damaged: it is not what its own SHA-256 names. {remedy}")
    return value


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _finite(word: str) -> float:
    if not isfinite(value := float(word)):  # 1e999
        raise ValueError(f"{word} is too large")
    return value


def _digest(plain: dict[str, Any]) -> str:
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@cache
def _types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _record(kind: type[T], value: Any, prefix: str = "") -> T:
    if not isinstance(value, dict):
        raise Mismatch(f"{prefix.rstrip('.') or 'it'} must be an object with fields, and is {_short(value)}")
    found = {}
    for field in fields(kind):  # type: ignore[arg-type]  # every caller passes a dataclass
        if field.name in value:
            found[field.name] = _read(_types(kind)[field.name], value[field.name], prefix + field.name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise Mismatch(f"the field {prefix + field.name!r} is missing")
    return kind(**found)


def _read(kind: Any, value: Any, name: str) -> Any:
    """`value` as the type `kind` has it: one of _WORDS, a list, an object, a record, one of several words, or None."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:  # X | None
        if value is None:
            return None
        [kind] = [argument for argument in arguments if argument is not NoneType]
        return _read(kind, value, name)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(arguments[0], item, f"{name}.{at}") for at, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _read(arguments[1], item, f"{name}.{key}") for key, item in value.items()}
    if is_dataclass(kind):
        return _record(kind, value, f"{name}.")  # type: ignore[arg-type]
    if kind is Any or (origin is Literal and value in arguments) or _fits(kind, value):
        return value
    raise Mismatch(f"the field {name!r} must be {_described(kind)}, and is {_short(value)}")


def _fits(kind: Any, value: Any) -> bool:
    if kind not in _WORDS or (isinstance(value, bool) and kind is not bool):
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def _described(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return f"one of {', '.join(get_args(kind))}"
    return {tuple: "a list", dict: "an object"}.get(origin) or _WORDS[kind]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
