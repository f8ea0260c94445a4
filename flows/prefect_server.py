"""Whether the configured Prefect server answers and takes our password, in one sentence, within seconds."""

import base64
import json
import os
import urllib.error
import urllib.request
import warnings
from contextlib import redirect_stderr
from dataclasses import dataclass
from http.client import HTTPException
from io import StringIO

from pipeline.errors import UserError
from pipeline.store.s3_import import insist_on_fsspec

SECONDS = 5.0
ASKED = "/admin/version"  # unlike /health, it wants the password


@dataclass(frozen=True)
class Configured:
    """The Prefect server of the user's settings."""

    url: str | None  # None: there is none
    auth: str | None  # user:password
    is_cloud: bool = False  # Prefect's own service, which knows other questions

    def insist(self) -> str:
        """What answers there; UserError where it does not."""
        assert self.url
        return "Prefect Cloud" if self.is_cloud else f"server {server_version(self.url, self.auth)}"


def configured() -> Configured:
    """What the user's settings say; UserError where Prefect cannot read them. Imports Prefect.

    Prefect reads its settings from the environment, a profile, and files of the working directory.
    """
    insist_on_fsspec()
    # strive keeps nothing in the home directory; a profile that cannot be read raises an error below
    warnings.filterwarnings("ignore", "Failed to (create the Prefect home directory|load profiles)")
    try:
        with redirect_stderr(StringIO()):  # it would print lines about its plugins beside the error raised below
            from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_CLOUD_API_URL

        url, auth = PREFECT_API_URL.value(), PREFECT_API_AUTH_STRING.value()
        is_cloud = bool(url and url.startswith(PREFECT_CLOUD_API_URL.value()))
    except (ValueError, OSError) as error:  # pydantic's and tomllib's errors are ValueErrors
        raise UserError(
            f"Prefect cannot read its settings: {_unread(error)}. Correct what says so: a PREFECT_* variable, the "
            "profile (`prefect config view`), or .env, prefect.toml or pyproject.toml in this folder"
        ) from error
    return Configured(url, auth, is_cloud)


def _unread(error: Exception) -> str:
    """The first of the errors that Prefect found, in a line, with the variables that have such a value."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    first = error.errors()[0]
    given = str(first["input"])
    names = [name for name, value in os.environ.items() if name.startswith("PREFECT_") and value == given]
    where = ", ".join(names) or ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}, not {given!r}"


def server_version(url: str, auth: str | None) -> str:
    """The version of the server at `url`; UserError says what is wrong with it and what to do."""
    try:
        request = urllib.request.Request(f"{url.rstrip('/')}{ASKED}")
        if auth:
            request.add_header("Authorization", f"Basic {base64.b64encode(auth.encode()).decode()}")
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return str(json.load(answer))
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            said = "does not take the password" if auth else "wants a password"
            raise UserError(
                f"the Prefect server at {url} {said}: set PREFECT_API_AUTH_STRING to its user:password"
            ) from None
        raise UserError(
            f"{url} answers with status {error.code}: PREFECT_API_URL must be the address of a Prefect server's API, "
            "such as http://127.0.0.1:4200/api"
        ) from None
    except (OSError, ValueError, HTTPException) as error:  # the last where it speaks no HTTP
        why = " ".join(str(getattr(error, "reason", None) or error).split())
        raise UserError(
            f"no Prefect server answers at {url} ({why}): start it with `prefect server start`, or correct "
            "PREFECT_API_URL"
        ) from None
