"""Damage as hypothesis draws it, to bytes that were whole, within a bounded budget."""

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pipeline.errors import StoreError, UserError

T = TypeVar("T")

FEW = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@st.composite
def harmed(draw: st.DrawFn, *whole: bytes) -> bytes:
    """One of these after a few edits: bytes replaced, taken away, put in or repeated; or bytes of no kind at all."""
    data = draw(st.sampled_from(whole))
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        # the ends of a file say the most: half of all edits are there
        near = draw(st.booleans())
        begin = draw(st.integers(0, min(len(data), 200) - 1 if near else len(data) - 1))
        begin = len(data) - 1 - begin if draw(st.booleans()) else begin
        end = min(len(data), begin + draw(st.sampled_from((1, 1, 2, 4, 8, 1000))))
        way = draw(st.sampled_from(("replace", "cut", "put", "repeat", "end")))
        new = draw(st.binary(min_size=1, max_size=8))
        data = {
            "replace": data[:begin] + new + data[begin + len(new) :],
            "cut": data[:begin] + data[end:],
            "put": data[:begin] + new + data[begin:],
            "repeat": data[:end] + data[begin:],
            "end": data[:begin],
        }[way]
    return data


def value_or_own_error(address: str, call: Callable[[], T]) -> T | None:
    """What `call` returns; None where it raised an error of ours that names the address. Any other error fails."""
    try:
        return call()
    except (UserError, StoreError) as error:
        if address not in str(error) or "\n" in str(error):
            raise AssertionError(f"this is no sentence that names {address}: {error}") from error
        return None
