"""What is known to keep Ray from starting or answering, found in seconds and without Ray."""

import os
import socket
import sys
import tempfile

CONNECT_SECONDS = 10.0
SOCKET_BYTES = 103 if sys.platform == "darwin" else 107  # of a path; unix(7)
# what Ray puts below its folder: the longest of its sockets
_LONGEST_SOCKET = "/ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"


def ray_trouble() -> str:
    """Why Ray cannot be used as the environment stands, and what to do; empty when nothing is known against it."""
    address = os.environ.get("RAY_ADDRESS") or "local"
    return _local_trouble() if address == "local" else _remote_trouble(address)


def _local_trouble() -> str:
    if odd := [c for c in " '\"\\$`&;()" if c in sys.executable]:
        return (
            f"Ray cannot start workers with the Python at {sys.executable}: its path has the character {odd[0]!r}. "
            "Move the checkout, or set UV_PROJECT_ENVIRONMENT to a folder without it and repeat `uv sync`"
        )
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if len(os.fsencode(folder + _LONGEST_SOCKET)) > SOCKET_BYTES:
        return (
            f"Ray's sockets below {folder} would have paths of more than {SOCKET_BYTES} bytes: "
            "set RAY_TMPDIR to a short folder, as /tmp"
        )
    return ""


def _remote_trouble(address: str) -> str:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():  # "auto": Ray looks for one
        return ""
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS):
            return ""
    except (OSError, OverflowError) as error:
        return (
            f"no Ray cluster answers at RAY_ADDRESS={address} ({error}): "
            "start it with `ray start --head`, or unset RAY_ADDRESS to run locally"
        )
