"""The command `strive`, as it is installed: a module of its own at the top, since a flows.py or pipeline.py on the
user's PYTHONPATH would be imported in place of our packages."""

import os
import sys


def libraries_first() -> None:
    """Let no module of PYTHONPATH hide one of Python's or of the environment: it is searched last, and in this process
    alone. `PYTHONPATH=$PYTHONPATH:/mine` names the working directory, and a json.py there would be ours."""
    if given := os.environ.pop("PYTHONPATH", ""):
        own = {os.path.abspath(folder) for folder in given.split(os.pathsep)} - {os.path.dirname(__file__)}
        sys.path.sort(key=lambda folder: os.path.abspath(folder) in own)


def main() -> None:
    """Entry point of the command."""
    try:
        libraries_first()
        from flows.cli.start import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()
