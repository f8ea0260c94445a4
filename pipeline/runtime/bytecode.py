"""Bytecode of the libraries, kept in our cache where PYTHONDONTWRITEBYTECODE is set."""

import os
import shutil
import sys
from contextlib import suppress
from importlib.util import find_spec

from pipeline.errors import UserError
from pipeline.runtime.settings import cache

FREE_BYTES = 200e6  # bytecode has 140 MB
LARGE = ("torch", "ray", "prefect")  # compiling them takes every process several seconds


def keep_bytecode() -> None:
    """Let this process and the commands that it starts keep bytecode in our cache, if Python would neither find nor
    write any.

    Containers often set PYTHONDONTWRITEBYTECODE. In an environment that was installed without bytecode, each of the
    dozen processes of a reproduction then compiles its libraries anew. A user's own PYTHONPYCACHEPREFIX stays, and
    without a cache that can be written nothing changes; nor on a disk that is nearly full, where Python leaves files
    that it takes for whole and cannot read.
    """
    forbidden = os.environ.get("PYTHONDONTWRITEBYTECODE")
    if not forbidden or sys.pycache_prefix or all(_is_compiled(name) for name in LARGE):
        return
    with suppress(OSError, UserError):  # UserError: the user has no home
        folder = cache().parent / "bytecode"
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < FREE_BYTES:
            return
        del os.environ["PYTHONDONTWRITEBYTECODE"]
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(folder)
        sys.dont_write_bytecode = False


def _is_compiled(package: str) -> bool:
    """Whether bytecode of the package lies beside its source; True where it is not installed."""
    spec = find_spec(package)
    return spec is None or bool(spec.cached and os.path.exists(spec.cached))
