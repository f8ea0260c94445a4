"""Studies of your own, from Python files: those that STRIVE_STUDIES names, paths separated as in PATH.

A file is run where a study is planned, by commands and flows; workers get the experiments alone, as plain values.
"""

import os
import runpy
import sys
import traceback
from collections.abc import Container
from contextlib import redirect_stdout
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from pipeline.errors import UserError
from pipeline.plan.own_study import OwnStudy
from pipeline.plan.study import Study
from pipeline.whole_path import insist_on_file_or_folder, whole_path

VARIABLE = "STRIVE_STUDIES"


def is_file(text: str) -> bool:
    """Whether a study is named by its file: FILE.py, or FILE.py:NAME where the file has several."""
    return text.partition(":")[0].endswith(".py") or text.endswith(".py")


def add(text: str, taken: Container[str]) -> str:
    """Make the study of FILE.py or FILE.py:NAME known, to this process and those that it starts; returns its name."""
    path, _, name = text.partition(":") if not text.endswith(".py") else (text, "", "")
    file = os.path.realpath(whole_path(path))
    found = _studies_in(file)
    if os.pathsep in file:
        raise UserError(f"the path {file} has a {os.pathsep!r}, which separates paths in {VARIABLE}: move the file")
    if name and name not in found:
        raise UserError(f"{path} has no study {name!r}: it has {', '.join(found)}")
    if not name and len(found) > 1:
        raise UserError(f"{path} has the studies {', '.join(found)}: name one, {path}:{next(iter(found))}")
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*_files(), file]))
    own_studies(taken)
    return name or next(iter(found))


def make_absolute() -> None:
    """Name the files of STRIVE_STUDIES by their whole paths, for processes that start in another folder."""
    if files := _files():
        os.environ[VARIABLE] = os.pathsep.join(files)


def _files() -> list[str]:
    paths = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    return list(dict.fromkeys(os.path.realpath(whole_path(path)) for path in paths))


def own_studies(taken: Container[str]) -> dict[str, partial[Study]]:
    """The studies of all files by name; UserError where two have one name, or one has a name in `taken`."""
    out: dict[str, partial[Study]] = {}
    origin: dict[str, str] = {}
    for file in _files():
        path = Path(file).name
        for name, own in _studies_in(file).items():
            if name in taken:
                raise UserError(f"{path}: {name} is the name of a study of strive's own, choose another")
            if name in out:
                raise UserError(f"{path} and {origin[name]} both have a study {name}: rename one")
            which = f":{name}" if len(_studies_in(file)) > 1 else ""
            out[name], origin[name] = partial(_planned, own, f"{path}{which}", f"{file}{which}"), path
    return out


def _planned(own: OwnStudy, file: str, place: str, seeds: int | None = None) -> Study:
    return replace(own.planned(seeds), file=file, place=place)


def _studies_in(file: str) -> dict[str, OwnStudy]:
    try:
        changed = os.stat(file).st_mtime_ns
    except OSError as error:
        raise UserError(f"cannot read the study {file}: {error.strerror}") from error
    if os.path.isdir(file):
        raise UserError(f"the study {file} is a folder: name the Python file in it")
    insist_on_file_or_folder(file)
    return _run(file, changed)


@lru_cache
def _run(file: str, _changed: int) -> dict[str, OwnStudy]:
    """Every OwnStudy that a file makes, by name."""
    try:
        with redirect_stdout(sys.stderr):  # what it prints is no part of a command's answer
            found = runpy.run_path(file)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the file raises, SystemExit too
        raise UserError(f"{Path(file).name}{_line(error, file)}: {_said(error)}") from error
    studies = list({id(v): v for v in found.values() if isinstance(v, OwnStudy)}.values())
    if not studies:
        raise UserError(
            f"{Path(file).name} makes no study: write `study = OwnStudy(name, question, networks, ...)` in it, "
            "imported from `pipeline.own`"
        )
    if len(named := {study.name: study for study in studies}) < len(studies):
        raise UserError(f"{Path(file).name} makes two studies of one name: rename one")
    return named


def _line(error: BaseException, file: str) -> str:
    """The line of the file at which it failed, as `, line 7`."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f", line {lines[-1]}" if lines else ""


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, UserError) else " ".join(f"{type(error).__name__}: {error}".split())
