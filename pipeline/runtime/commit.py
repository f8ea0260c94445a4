"""The commit of this very code, whatever repository the environment or the working directory names."""

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Commit:
    """What git says of the checkout that this code stands in."""

    id: str | None  # 40 hexadecimal digits
    dirty: bool | None = None  # whether files differ from it
    unknown_because: str = ""

    def __str__(self) -> str:
        if self.id is None:
            return f"unknown, because {self.unknown_because}"
        return f"{self.id[:12]}{'+' if self.dirty else ''}"


@cache
def code_commit() -> Commit:
    """The checkout's commit, else that of STRIVE_COMMIT, which an image sets that has no checkout."""
    try:
        if not (ROOT / ".git").exists():
            raise OSError(f"{ROOT} is no git checkout")
        return Commit(_git("rev-parse", "HEAD"), bool(_git("status", "--porcelain")))
    except OSError as error:
        named = os.environ.get("STRIVE_COMMIT") or None
        return Commit(named, None, "" if named else str(error))


def _git(*words: str) -> str:
    """What git prints; OSError with its complaint."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # a hook sets GIT_DIR
    command = ["git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=ours)
    except FileNotFoundError:
        raise OSError("git is not installed") from None
    if done.returncode != 0:
        raise OSError((done.stderr.strip().splitlines() or ["git failed"])[0])
    return done.stdout.strip()
