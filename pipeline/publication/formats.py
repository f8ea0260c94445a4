"""A table as a file: for programs whole (Parquet, CSV, JSON), for people the columns that have a heading (Markdown,
LaTeX, HTML). The same table gives the same bytes."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from pipeline.evaluation.schema import SCHEMA
from pipeline.publication import latex
from pipeline.publication.display import markdown, readable, records
from pipeline.runtime.settings import endpoint
from pipeline.store.objects import Store
from pipeline.store.paths import StudyFolder

TITLES = {
    "cells": "Errors beside the numbers in print",
    "rates": "Learning rates and which were chosen",
    "claims": "Claims and what the errors decide of each",
    "neighbours": "Baselines of Table 4, with our row",
    "readings": "Readings of what the paper does not state",
    "replications": "Finished runs, trained again from nothing",
}


def files(kind: str, table: pd.DataFrame, study: str) -> dict[str, bytes]:
    """The table in every format, by file ending."""
    return {ending: write(kind, table, study) for ending, write in FORMATS.items()}


def _parquet(kind: str, table: pd.DataFrame, study: str) -> bytes:
    arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
    about = {"strive.schema": str(SCHEMA), "strive.study": study, "strive.table": kind}
    out = io.BytesIO()
    pyarrow.parquet.write_table(arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **about}), out)
    return out.getvalue()


def _csv(kind: str, table: pd.DataFrame, study: str) -> bytes:
    return table.to_csv(index=False).encode()


def _json(kind: str, table: pd.DataFrame, study: str) -> bytes:
    value = {"schema": SCHEMA, "study": study, "table": kind, "rows": records(table)}
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def _markdown(kind: str, table: pd.DataFrame, study: str) -> bytes:
    return (markdown(kind, table) + "\n").encode()


def _latex(kind: str, table: pd.DataFrame, study: str) -> bytes:
    return latex.latex(kind, table, study).encode()


def _html(kind: str, table: pd.DataFrame, study: str) -> bytes:
    body = readable(kind, table).to_html(index=False, border=0)
    title = f"{TITLES[kind]}: study {study}"
    page = f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n<h1>{title}</h1>\n{body}\n'
    return f"{page}</html>\n".encode()


FORMATS: dict[str, Callable[[str, pd.DataFrame, str], bytes]] = {
    "parquet": _parquet,
    "csv": _csv,
    "json": _json,
    "md": _markdown,
    "tex": _latex,
    "html": _html,
}


def pandas_line(store: Store, study: str) -> str:
    """pd.read_parquet("s3://...", storage_options=...), the latter where the bucket is not Amazon's.

    A folder below the working directory is named from there, so that a page kept with the code holds no one's path.
    """
    address = store.url_of(StudyFolder(study).table("parquet"))
    if "://" not in address and Path(address).is_relative_to(Path.cwd()):
        address = str(Path(address).relative_to(Path.cwd()))
    options = ""
    if address.startswith("s3://") and endpoint():
        options = f', storage_options={{"endpoint_url": "{endpoint()}"}}'
    return f"pd.read_parquet({json.dumps(address, ensure_ascii=False)}{options})"
