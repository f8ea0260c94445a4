"""What is known to keep Ray from starting or answering, found in seconds."""

import os
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec

from pipeline.runtime.limits import cores, free_memory, open_files

LEAST_BYTES = 1.5e9  # Ray's own processes and one worker on small images
LEAST_FILES, FILES_A_WORKER = 90, 5  # open at once in one process of Ray's; with fewer it waits without end
DISK_BYTES = 5e6  # of its sockets, logs and notes
CONNECT_SECONDS = 10.0  # for a cluster's address to answer
SOCKET_BYTES = 103 if sys.platform == "darwin" else 107  # of a path; unix(7)
# what Ray puts below its folder: the longest of its sockets
_LONGEST_SOCKET = "/ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"


def is_joined() -> bool:
    """Whether the cluster is one that runs without us, whose processes have an environment of their own."""
    return (os.environ.get("RAY_ADDRESS") or "local") != "local"


def ray_folder() -> str:
    """Where a Ray of our own keeps its files, as it finds the folder itself: RAY_TMPDIR, on Linux TMPDIR, /tmp.

    Ray takes an empty RAY_TMPDIR for the working directory, which is not that of its own processes.
    """
    own = os.environ.get("RAY_TMPDIR") or (os.environ.get("TMPDIR") if sys.platform.startswith("linux") else "")
    return os.path.abspath(own or "/tmp")


def ray_trouble(workers: int | None = None) -> str:
    """Why Ray cannot be used as the environment stands, and what to do; empty when nothing is known against it."""
    return _remote_trouble(os.environ["RAY_ADDRESS"]) if is_joined() else _local_trouble(workers or cores())


def _local_trouble(workers: int) -> str:
    if odd := [c for c in " '\"\\$`&;()" if c in sys.executable]:
        return (
            f"Ray cannot start workers with the Python at {sys.executable}: its path has the character {odd[0]!r}. "
            "Move the checkout, or set UV_PROJECT_ENVIRONMENT to a folder without it and repeat `uv sync`"
        )
    if trouble := _folder_trouble(ray_folder()):
        return trouble
    if os.path.isdir("/dev/shm") and not os.access("/dev/shm", os.W_OK):
        return "Ray needs to write to /dev/shm, and we may not: give this user the right to"
    if (files := open_files()) < (least := LEAST_FILES + FILES_A_WORKER * workers):
        who = "1 worker" if workers == 1 else f"{workers} workers"
        return (
            f"{files:.0f} files may be open at once, and Ray with {who} needs {least}: raise that limit "
            "(ulimit -Hn; of a container --ulimit nofile), or train without Ray by `strive work`"
        )
    if (free := free_memory()) < LEAST_BYTES:
        return (
            f"{free / 1e9:.1f} GB of memory are free, and Ray with one worker needs {LEAST_BYTES / 1e9:.1f} GB: "
            "free some, raise the container's limit, or train without Ray by `strive work`"
        )
    return ""


def _folder_trouble(folder: str) -> str:
    """What keeps Ray from writing its files below this folder."""
    if len(os.fsencode(folder + _LONGEST_SOCKET)) > SOCKET_BYTES:
        return (
            f"Ray's sockets below {folder} would have paths of more than {SOCKET_BYTES} bytes: "
            "set RAY_TMPDIR to a short folder, as /tmp"
        )
    if not os.path.isdir(folder):
        return f"Ray keeps its files in {folder}, and there is no such folder: make it, or set RAY_TMPDIR to another"
    another = "or set RAY_TMPDIR to another short folder"
    for place in filter(os.path.exists, (folder, f"{folder}/ray")):  # another user may have made the second
        if not os.access(place, os.W_OK | os.X_OK):
            return f"Ray needs to write to {place}, and we may not: give this user the right to, {another}"
    if (free := shutil.disk_usage(folder).free) < DISK_BYTES or _no_file_fits(folder):
        return (
            f"Ray keeps its files in {folder}, where {free / 1e6:.0f} MB are free for {DISK_BYTES / 1e6:.0f}: free "
            f"space there, {another}"
            if free < DISK_BYTES
            else f"Ray keeps its files in {folder}, where no more files can be made (df -i): delete some, {another}"
        )
    return ""


def _no_file_fits(folder: str) -> bool:
    """Whether the disk has no inode left; some file systems have no such number, and say 0 of 0."""
    about = os.statvfs(folder)
    return about.f_files > 0 and about.f_favail == 0


def _remote_trouble(address: str) -> str:
    if address == "auto":
        return _auto_trouble()
    if address.startswith("ray://") and address != "ray://" and find_spec("grpc") is None:
        return (
            f"RAY_ADDRESS={address} needs Ray's client, which is not installed: set it to host:port of the head, "
            "or install the package ray[client]"
        )
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        if "://" in address and address != "ray://":  # Ray says what it wants
            return ""
        return (
            f"RAY_ADDRESS must be host:port, ray://host:port or auto, not {address!r}: correct it, or unset it to run "
            "locally"
        )
    until = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS):
                return "" if address.startswith("ray://") else _cluster_trouble(address)
        except ConnectionRefusedError as error:  # a head that is just being started
            trouble = error
        except (OSError, OverflowError) as error:
            trouble, until = error, 0.0
        if time.monotonic() > until:
            return (
                f"no Ray cluster answers at RAY_ADDRESS={address} ({trouble}): "
                "start it with `ray start --head`, or unset RAY_ADDRESS to run locally"
            )
        time.sleep(0.5)


def _auto_trouble() -> str:
    """Whether Ray finds no cluster on this host; asked in a process of its own, as Ray takes a second to import."""
    code = "from ray._private.services import canonicalize_bootstrap_address as find; find('auto')"
    asked = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    if "Could not find any running Ray instance" not in asked.stderr:
        return ""
    return (
        "RAY_ADDRESS=auto, and no Ray cluster runs on this machine: start it with `ray start --head`, name another "
        "machine's as host:port, or unset RAY_ADDRESS to run locally"
    )


def _cluster_trouble(address: str) -> str:
    """Whether what answers is a Ray cluster that lets us in; asked in a process of its own, which may hang."""
    code = f"from ray._raylet import GcsClient; GcsClient(address={address!r})"
    try:
        asked = subprocess.run(
            [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, timeout=CONNECT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"what answers at RAY_ADDRESS={address} is no Ray cluster of this version of Ray: check the address"
    if "InvalidAuthToken" not in asked.stderr:
        return ""  # anything else is said when the cluster is joined
    if os.environ.get("RAY_AUTH_MODE") == "token":
        return (
            f"the Ray cluster at RAY_ADDRESS={address} does not accept our token (InvalidAuthToken): "
            "put the cluster's own into RAY_AUTH_TOKEN, or its file's name into RAY_AUTH_TOKEN_PATH"
        )
    return (
        f"the Ray cluster at RAY_ADDRESS={address} wants a token (InvalidAuthToken): set RAY_AUTH_MODE=token, and the "
        "token in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH; on the head's host it lies in ~/.ray/auth_token"
    )
