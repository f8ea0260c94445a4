"""Compiled modules, kept where PYTHONDONTWRITEBYTECODE forbids it beside the sources."""

import os
import sys
from importlib.util import find_spec

from pipeline.runtime.settings import cache

LARGE = ("torch", "ray", "prefect")  # compiling them takes every process several seconds


def keep_bytecode() -> None:
    """Let this process and its children keep bytecode in our cache, if none of them could otherwise.

    Containers often set PYTHONDONTWRITEBYTECODE. In an environment that was installed without bytecode, each of the
    dozen processes of a reproduction then compiles its libraries anew. A user's own PYTHONPYCACHEPREFIX stays.
    """
    forbidden = os.environ.get("PYTHONDONTWRITEBYTECODE")
    if not forbidden or sys.pycache_prefix or all(_is_compiled(name) for name in LARGE):
        return
    del os.environ["PYTHONDONTWRITEBYTECODE"]
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(cache().parent / "bytecode")
    sys.dont_write_bytecode = False


def _is_compiled(package: str) -> bool:
    """Whether bytecode of the package lies beside its source; also where it is not installed."""
    spec = find_spec(package)
    return spec is None or bool(spec.cached and os.path.exists(spec.cached))
