"""What our processes and their children need of the environment, whatever the user's says."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("all_proxy", "http_proxy", "https_proxy")


def child_environment() -> dict[str, str]:
    """For a Python process that strive starts: nothing is imported from the working directory, text is UTF-8 in any
    locale, and no proxy is asked for this host.

    Ray hands it on to its workers.
    """
    bypass_proxies_on_loopback()
    return {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}


def bypass_proxies_on_loopback() -> None:
    """Our servers listen on this very host, which a proxy cannot reach; call it before a client is made."""
    for name in ("no_proxy", "NO_PROXY"):
        given = os.environ.get(name) or os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        hosts = [host for part in given.split(",") if (host := part.strip())]
        if "*" not in hosts:
            os.environ[name] = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))


@contextmanager
def without_socks() -> Iterator[None]:
    """Inside, no proxy speaks SOCKS unless httpx can: otherwise it refuses to make any client."""
    names = [] if find_spec("socksio") else [n for n in os.environ if n.lower() in PROXIES and _is_socks(os.environ[n])]
    taken = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(taken)


def _is_socks(address: str) -> bool:
    return address.lower().startswith("socks")
