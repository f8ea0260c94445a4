"""A table for a printed page, as LaTeX: fewer columns than elsewhere, scaled down where they are wider than a line."""

import pandas as pd

from pipeline.evaluation.schema import Column
from pipeline.paper.recipes import LEARNING_RATES
from pipeline.publication.display import is_left, readable, visible_columns

# the columns that a page has room for
PRINTED = {
    "cells": ("network", "dataset", "augmented", "rule", "lr", "paper_error", "error", "std", "seeds", "difference",
              "difference_low", "difference_high", "verdict"),
    "rates": ("network", "dataset", "augmented", "lr", "held_out_error", "first_error", "error", "seeds", "by_paper",
              "by_held_out", "flatters"),
    "claims": ("claim", "sentence", "rule", "verdict"),
    "neighbours": ("panel", "method", "source", "error", "seeds", "parameters", "verdict"),
    "readings": ("width", "initialization", "score_bias", "batch", "networks", "runs", "left", "loss",
                 *(f"lr_{lr:g}" for lr in LEARNING_RATES)),
}  # fmt: skip
WIDE = {"sentence": 0.6, "panel": 0.14, "source": 0.2}  # shares of a line: columns whose words are broken into several
PAGE = 55  # rows; more go on over the next page
NEEDS = "% needs \\usepackage{array,booktabs,graphicx,longtable}\\usepackage[T1]{fontenc}\n"
FIT = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"


def latex(kind: str, table: pd.DataFrame, title: str, label: str) -> str:
    """booktabs; a float, or a longtable where one page cannot hold it."""
    narrow = pd.DataFrame(table, columns=list(PRINTED[kind])).drop_duplicates()
    shown, alike = _without_the_same(kind, readable(kind, narrow))
    long = len(shown) > PAGE
    style = shown.style.hide(axis="index")
    style.format(escape="latex").format_index(lambda heading: heading.replace("%", r"\%"), axis="columns")
    text = style.to_latex(
        hrules=True,
        environment="longtable" if long else None,
        position=None if long else "t",
        position_float=None if long else "centering",
        column_format="".join(map(_column, visible_columns(kind, shown))),
        caption="; ".join([title, *alike]) + ".",
        label=label,
    )
    return NEEDS + (_long(text) if long else _fitting(text))


def _fitting(text: str) -> str:
    small = text.replace("\\centering\n", "\\centering\\scriptsize\\setlength{\\tabcolsep}{3pt}\n")
    return small.replace("\\begin{tabular}", f"{FIT}\\begin{{tabular}}").replace("\\end{tabular}", "\\end{tabular}}")


def _long(text: str) -> str:
    return f"{{\\tiny\\setlength{{\\tabcolsep}}{{1pt}}\n{text}}}\n"


def _without_the_same(kind: str, shown: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Columns of words that say the same in every row go into the caption, for a printed page is narrow."""
    words = {c.shown: list(dict.fromkeys(shown[c.shown])) for c in visible_columns(kind, shown) if is_left(c)}
    same = {heading: values[0] for heading, values in words.items() if len(values) == 1 < len(shown)}
    return shown.drop(columns=list(same)), [f"{heading}: {value}" for heading, value in same.items()]


def _column(column: Column) -> str:
    if column.name in WIDE:
        return rf">{{\raggedright\arraybackslash}}p{{{WIDE[column.name]}\linewidth}}"
    return "l" if is_left(column) else "r"
