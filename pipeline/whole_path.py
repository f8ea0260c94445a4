"""The path that a person names, by an option or in a file of their own."""

import os
from errno import EACCES, ENAMETOOLONG, EPERM
from pathlib import Path

from pipeline.errors import UserError

_NO_PATH = (EACCES, ENAMETOOLONG, EPERM)  # where even a look is refused


def whole_path(text: str | Path) -> Path:
    """The absolute path that a person's `text` names, ~ being a home; UserError where there can be none."""
    try:
        path = Path(text).expanduser().absolute()
        path.exists()
    except RuntimeError as error:
        raise UserError(f"no home folder is known for {text}: write the path from / on") from error
    except OSError as error:
        if error.errno in _NO_PATH:
            raise UserError(f"the path {text} cannot be used: {error.strerror}: choose another") from error
        if not Path(text).is_absolute() and error.filename is None:  # of os.getcwd
            raise UserError("the working directory is gone: change to another and run the command again") from error
        raise
    return path


def insist_on_file_or_folder(path: str | Path) -> None:
    """UserError where it is a pipe, a socket or a device: to read it might never end."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise UserError(f"{path} is neither a file nor a folder: copy what it gives into a file and name that")
