"""`strive serve`: checks that there is a server, then registers the deployments."""

import os

from pipeline.paper.refused import Refused


def serve_all(quiet: dict[str, str]) -> None:
    """Serve until stopped; refused where no Prefect server is configured."""
    for name in ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED"):
        os.environ.setdefault(name, quiet[name])
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise Refused(
            "no Prefect server is configured. Start one with `prefect server start`, "
            "then set PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    from flows.deploy import serve_all as serve

    serve()
