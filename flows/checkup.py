"""`strive doctor`: this room's check beside those of the others."""

import urllib.error
import urllib.request
from importlib.metadata import version

from pipeline.runs.doctor import Check, examine


def examine_all(store_url: str | None, data_dir: str | None) -> list[Check]:
    """Store, data, devices, Ray, Prefect."""
    return [*examine(store_url, data_dir), _prefect()]


def _prefect() -> Check:
    from prefect.settings import PREFECT_API_URL

    url, found = PREFECT_API_URL.value(), f"prefect {version('prefect')}"
    if not url:
        return Check("prefect", True, f"{found}, embedded server (PREFECT_API_URL is not set)")
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return Check("prefect", True, f"{found}, server at {url}")
    except (urllib.error.URLError, OSError, ValueError) as error:
        mend = "start it with `prefect server start`, or unset PREFECT_API_URL to use the embedded server"
        return Check("prefect", False, f"{found}: no answer from {url}: {error}", mend)
