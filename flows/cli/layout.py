"""Tables as plain text that keeps every id and number whole, however narrow the terminal is."""

import os
import re
import shutil
import sys
from collections.abc import Sequence

WIDE = 160  # characters, where output goes to a file or a pipe
GAP = "  "

Row = Sequence[str]


def width() -> int:
    """Characters in a line of standard output: COLUMNS, else the terminal's, else WIDE."""
    if (text := os.environ.get("COLUMNS", "")).isdecimal() and int(text) > 0:
        return int(text)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE


def table(headings: Row, rows: Sequence[Row], right: Sequence[str] = (), at_most: int | None = None) -> str:
    """The rows below their headings, or, where that is wider than `at_most` characters, one paragraph a row.

    Columns without any text are left out; those in `right` are aligned to the right. Of a paragraph the first line is
    the row's first cell, and the next ones, indented, name the others with their headings.
    """
    shown = [at for at in range(len(headings)) if any(row[at] for row in rows)]
    headings, rows = [headings[at] for at in shown], [[row[at] for at in shown] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    limit = at_most or width()
    if sum(widths) + len(GAP) * (len(widths) - 1) > limit:
        return "\n".join(line for row in rows for line in _paragraph(headings, row, limit))
    aligns = [str.rjust if heading in right else str.ljust for heading in headings]
    return "\n".join(
        GAP.join(align(cell, size) for align, cell, size in zip(aligns, line, widths, strict=True)).rstrip()
        for line in (headings, *rows)
    )


def markdown(text: str, at_most: int | None = None) -> str:
    """A Markdown table as it is where it fits into a line, else one paragraph a row."""
    lines = text.strip().splitlines()
    if max(map(len, lines)) <= (at_most or width()):
        return text.strip()
    headings, _, *rows = map(_cells, lines)
    return table(headings, rows, at_most=at_most)


def _cells(line: str) -> list[str]:
    """The cells of a line of a Markdown table; a vertical bar inside one is escaped there."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def _paragraph(headings: Row, row: Row, limit: int) -> list[str]:
    """The first cell, then "heading value, heading value, ...", broken between the pairs alone."""
    lines = [row[0]]
    line = ""
    for heading, cell in zip(headings[1:], row[1:], strict=True):
        if not cell:
            continue
        pair = f"{heading} {cell}" if heading else cell
        if line and len(GAP) + len(line) + len(f", {pair}") > limit:
            lines.append(f"{GAP}{line},")
            line = pair
        else:
            line = f"{line}, {pair}" if line else pair
    return [*lines, f"{GAP}{line}"] if line else lines
