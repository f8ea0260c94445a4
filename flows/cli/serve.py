"""`strive serve`: the flows offered to a Prefect server."""

import os
import signal

import typer

from flows.cli.stop import as_python_does, say
from flows.local_server import QUIET
from flows.prefect_server import configured, server_version
from pipeline.errors import UserError
from pipeline.plan import study_files

PATIENCE = "PREFECT_CLIENT_RETRY_EXTRA_CODES", "500"  # a server whose database is away for a moment is asked again


def serve_all() -> None:
    """Serve until stopped, which is said; refused where no Prefect server is configured."""
    for name in ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED"):
        os.environ.setdefault(name, QUIET[name])
    os.environ.setdefault(*PATIENCE)
    study_files.make_absolute()  # a flow may run in another folder
    if url := os.environ.get("PREFECT_API_URL"):  # refused at once, before Prefect is imported
        server_version(url, os.environ.get("PREFECT_API_AUTH_STRING"))
    found = configured()
    if not found.url:
        raise UserError(
            "no Prefect server is configured. Start one with `prefect server start`, "
            "then set PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    found.insist()
    from flows import deployments

    deployed = deployments.registered()
    as_python_does()
    try:
        deployments.serve_all(deployed)
    except KeyboardInterrupt:
        say(signal.SIGINT, ".")
        raise typer.Exit(130) from None
    except SystemExit as end:
        if end.code:
            raise
        say(signal.SIGTERM, ".")  # at which Prefect's runner ends so
        raise typer.Exit(143) from None
