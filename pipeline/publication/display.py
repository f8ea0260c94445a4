"""A table as people read it: the columns that have a heading, numbers to their digits."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from pipeline.evaluation.schema import TABLES, Column, rule_words
from pipeline.paper.networks import PRINTED_NAMES

NAMED = ("network", "comparison", "source")  # columns whose text has names of networks


def markdown(kind: str, table: pd.DataFrame, first: Sequence[str] = ()) -> str:
    """The table for people."""
    shown = readable(kind, table, first).map(in_cell)
    left = {c.shown for c in TABLES[kind] if is_left(c)}
    align = ["left" if heading in left else "right" for heading in shown]
    return shown.to_markdown(index=False, disable_numparse=True, colalign=align)


def in_cell(text: str) -> str:
    """The text as it can stand in a cell of a Markdown table: in one line, and its vertical bars end no cell."""
    return " ".join(text.split()).replace("|", "\\|")


def readable(kind: str, table: pd.DataFrame, first: Sequence[str] = ()) -> pd.DataFrame:
    """The columns that have a heading and anything below it, as text: numbers to their digits.

    Headings in `first` come first, in this order, where a page is too narrow for all.
    """
    table = merge_rules(table)
    shown = pd.DataFrame({c.shown: _texts(c, table) for c in _there(kind, table)}, dtype=str)
    for column in (c.shown for c in _there(kind, table) if c.once):
        shown[column] = shown[column].mask(shown[column] == shown[column].shift(), "")
    there = shown.loc[:, (shown != "").any()]
    front = [heading for heading in first if heading in there]
    return there[[*front, *there.columns.drop(front)]]


def merge_rules(table: pd.DataFrame) -> pd.DataFrame:
    """The table for people: rows that differ in the rule alone, for both chose the same runs, become one."""
    if "rule" not in table:
        return table
    key = pd.Series([repr(row) for row in records(table.drop(columns="rule"))], index=table.index)
    return table.assign(rule=table.groupby(key)["rule"].transform(", ".join)).loc[~key.duplicated(), :]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain JSON values."""
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _texts(column: Column, table: pd.DataFrame) -> list[str]:
    """The values below a heading; both ends of an interval are in one."""
    values = [format_value(column, value) for value in table[column.name]]
    if not column.end or column.end not in table:
        return values
    ends = [format_value(column, value) for value in table[column.end]]
    return [f"{low} to {high}" if low and high else "" for low, high in zip(values, ends, strict=True)]


def format_value(column: Column, value: Any) -> str:
    """A value as people read it."""
    if pd.isna(value):
        return ""
    if column.type == "flag":
        return "yes" if value else ""
    if column.name == "rule":
        return rule_words(value)
    if column.form:
        return format(value, column.form)
    return in_print(str(value)) if column.name in NAMED else str(value)


def in_print(text: str) -> str:
    """The text with networks as the paper prints them: All-CNN-C."""
    return re.sub(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", lambda found: PRINTED_NAMES.get(found[0], found[0]), text)


def _there(kind: str, table: pd.DataFrame) -> list[Column]:
    """The columns with a heading that the table has."""
    return [c for c in TABLES[kind] if c.shown and c.name in table]


def is_left(column: Column) -> bool:
    return column.type in ("text", "flag")


def visible_columns(kind: str, shown: pd.DataFrame) -> list[Column]:
    """The columns that people see of this table."""
    return [c for c in TABLES[kind] if c.shown in shown]


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
