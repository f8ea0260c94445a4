"""The command `strive`, as it is installed: a module of its own beside our packages, since a flows.py or pipeline.py on
the user's PYTHONPATH would be imported in place of these."""

import os
import sys
from pathlib import Path

OURS = {str(folder) for folder in Path(__file__).resolve().parents[:3]}  # of a checkout its root, which is the third


def libraries_first() -> None:
    """Let no module of PYTHONPATH hide one of Python's or of the environment: it is searched last, and in this process
    alone. `PYTHONPATH=$PYTHONPATH:/mine` names the working directory, and a json.py there would be ours."""
    if given := os.environ.pop("PYTHONPATH", ""):
        own = {os.path.abspath(folder) for folder in given.split(os.pathsep)} - OURS
        sys.path.sort(key=lambda folder: os.path.abspath(folder) in own)


def main() -> None:
    """Entry point of the command."""
    try:
        libraries_first()
        from flows.cli.start import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()
