"""Reading the published CIFAR files, which are pickles: programs that may call anything they name.

The first lock is the SHA-256 of every file, compared before it comes here; the second is that nothing can be called
but what an array of numbers is made of.
"""

import io
import pickle
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct

ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,  # as numpy 1 wrote it, and the published files have it
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class Untrusted(ValueError):
    """These bytes are no pickle of arrays, lists, dicts, texts and numbers; the message says why."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise Untrusted(f"it wants to call {module}.{name}")
        return ALLOWED[module, name]


def unpickle(data: bytes) -> Any:
    """What a pickle holds, a dict with its keys as text; Untrusted where it is damaged or calls anything else."""
    try:
        value = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Untrusted:
        raise
    except Exception as error:  # a damaged pickle raises what its instructions happen to raise
        raise Untrusted(f"no whole pickle ({type(error).__name__}: {error})") from error
    if not isinstance(value, dict):
        return value
    return {key.decode("ascii", "replace") if isinstance(key, bytes) else key: part for key, part in value.items()}
