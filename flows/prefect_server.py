"""Whether the configured Prefect server answers and takes our password, in one sentence, within seconds."""

import base64
import json
import urllib.error
import urllib.request
from http.client import HTTPException

from pipeline.errors import UserError

SECONDS = 5.0
ASKED = "/admin/version"  # unlike /health, it wants the password


def server_version(url: str, auth: str | None) -> str:
    """The version of the server at `url`; UserError says what is wrong with it and what to do."""
    request = urllib.request.Request(f"{url.rstrip('/')}{ASKED}")
    if auth:
        request.add_header("Authorization", f"Basic {base64.b64encode(auth.encode()).decode()}")
    try:
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
