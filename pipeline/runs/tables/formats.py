"""A table as a file: for programs whole (Parquet, CSV, JSON), for people the columns that have a heading (Markdown,
LaTeX, HTML). The same table gives the same bytes."""

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet

from pipeline.runs.tables.columns import SCHEMA, TABLES, Column

TITLES = {
    "cells": "Errors beside the paper's",
    "rates": "Learning rates and who chose them",
    "claims": "The paper's fourteen claims",
    "neighbours": "Table 4 with our row",
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
    shown, alike = _without_the_same(kind, readable(kind, table))
    style = shown.style.hide(axis="index")
    style.format(escape="latex").format_index(lambda heading: heading.replace("%", r"\%"), axis="columns")
    text = style.to_latex(
        hrules=True,
        position="t",
        position_float="centering",
        column_format="".join(_latex_column(c) for c in _shown(kind, shown)),
        caption="; ".join([f"{TITLES[kind]}: study {study}", *alike]) + ".",
        label=f"tab:{study}-{kind}",
    )
    tight = text.replace("\\centering\n", "\\centering\\scriptsize\\setlength{\\tabcolsep}{3pt}\n")
    return f"% needs \\usepackage{{booktabs}}\n{tight}".encode()


def _without_the_same(kind: str, shown: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Columns of words that say the same in every row go into the caption, for a printed page is narrow."""
    words = {c.shown: list(dict.fromkeys(shown[c.shown])) for c in _shown(kind, shown) if _is_left(c)}
    same = {heading: values[0] for heading, values in words.items() if len(values) == 1 < len(shown)}
    return shown.drop(columns=list(same)), [f"{heading}: {value}" for heading, value in same.items()]


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


def markdown(kind: str, table: pd.DataFrame, first: Sequence[str] = ()) -> str:
    """The table for people."""
    shown = readable(kind, table, first)
    left = {c.shown for c in TABLES[kind] if _is_left(c)}
    align = ["left" if heading in left else "right" for heading in shown]
    return shown.to_markdown(index=False, disable_numparse=True, colalign=align)


def readable(kind: str, table: pd.DataFrame, first: Sequence[str] = ()) -> pd.DataFrame:
    """The columns that have a heading and anything below it, as text: numbers to their digits.

    Headings in `first` come first, in this order, where a page is too narrow for all.
    """
    table = joined(table)
    shown = pd.DataFrame({c.shown: [said(c, v) for v in table[c.name]] for c in TABLES[kind] if c.shown}, dtype=str)
    for column in (c.shown for c in TABLES[kind] if c.once):
        shown[column] = shown[column].mask(shown[column] == shown[column].shift(), "")
    there = shown.loc[:, (shown != "").any()]
    front = [heading for heading in first if heading in there]
    return there[[*front, *there.columns.drop(front)]]


def joined(table: pd.DataFrame) -> pd.DataFrame:
    """The table for people: rows that differ in the rule alone, for both chose the same runs, become one."""
    if "rule" not in table:
        return table
    key = pd.Series([repr(row) for row in records(table.drop(columns="rule"))], index=table.index)
    return table.assign(rule=table.groupby(key)["rule"].transform(", ".join)).loc[~key.duplicated(), :]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain JSON values."""
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def said(column: Column, value: Any) -> str:
    """A value as people read it."""
    if pd.isna(value):
        return ""
    if column.type == "flag":
        return "yes" if value else ""
    return format(value, column.form) if column.form else str(value)


def _latex_column(column: Column) -> str:
    return r"p{0.16\linewidth}" if column.once or column.name == "comparison" else "l" if _is_left(column) else "r"


def _is_left(column: Column) -> bool:
    return column.type in ("text", "flag")


def _shown(kind: str, shown: pd.DataFrame) -> list[Column]:
    """The columns that people see of this table."""
    return [c for c in TABLES[kind] if c.shown in shown]


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
