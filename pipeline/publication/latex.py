"""A table for a printed page, as LaTeX: columns that fit into a line of an article, and a caption that names them.

What is the same in every row stands in the caption. Only booktabs, array and longtable are needed.
"""

import pandas as pd

from pipeline.evaluation.schema import TABLES, Column
from pipeline.paper.recipes import LEARNING_RATES
from pipeline.publication.display import is_left, readable, visible_columns

# the columns that a line has room for
PRINTED = {
    "cells": ("network", "dataset", "rule", "lr", "paper_error", "error", "low", "high", "seeds", "verdict"),
    "rates": ("network", "dataset", "lr", "held_out_error", "first_error", "error", "seeds", "by_paper",
              "by_held_out", "flatters"),
    "claims": ("claim", "sentence", "rule", "verdict"),
    "neighbours": ("panel", "method", "source", "error", "seeds", "parameters", "verdict"),
    "readings": ("width", "initialization", "score_bias", "batch", "networks", "runs", "left", "loss",
                 *(f"lr_{lr:g}" for lr in LEARNING_RATES)),
    "replications": ("at", "network", "dataset", "lr", "seed", "comparison", "original_error", "error", "noise",
                     "torch"),
}  # fmt: skip
CAPTIONS = {
    "cells": "Test error in percent, the mean over seeds with its 95\\,\\% confidence interval, and the number in "
    "print, which is taken as exact",
    "rates": "Error in percent at every learning rate: on validation images, on test images by seed 0, and on test "
    "images as the mean over seeds; which rate each rule chooses; by how many points choosing on test images "
    "flatters",
    "claims": "The claims and what the errors decide of each, by the rule that chose the learning rates",
    "neighbours": "Test errors in percent of Table 4 of the paper, with the rows of this reproduction",
    "replications": "Finished runs, trained again from nothing: how they came out, both test errors in percent, and by "
    "how many percentage points two runs differ by chance",
    "readings": "Readings of what the paper does not state: how many runs leave the plateau, their mean training loss "
    "after the last epoch in nats, and how many leave it at each learning rate",
}
SHARES = {  # of a line: columns whose words are broken into several lines
    "cells": {"rule": 0.1, "verdict": 0.12, "network": 0.15},
    "rates": {"network": 0.17},
    "claims": {"sentence": 0.55, "rule": 0.11, "verdict": 0.17},
    "neighbours": {"panel": 0.13, "method": 0.2, "source": 0.18, "verdict": 0.13},
}
HEADINGS = {  # broken into lines
    "learning rate by": r"rate\\by",
    "learning rate": "rate",
    "95 % CI": r"95\,\% CI",
    "paper %": r"paper\\\%",
    "error %": r"error\\\%",
    "validation %": r"valid-\\ation \%",
    "seed 0 %": r"seed 0\\\%",
    "chosen by test": r"chosen\\by test",
    "chosen by validation": r"chosen by\\validation",
    "optimism": r"opti-\\mism",
    "left plateau": r"left\\plateau",
    "original %": r"origi-\\nal \%",
    "again %": r"again\\\%",
    "by chance": r"by\\chance",
    "mean loss": r"mean\\loss",
    "score biases": r"score\\biases",
    "initialization": "weights",
    "parameters": r"para-\\meters",
    "networks": r"net-\\works",
}
DATA = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet": "ImageNet"}  # as the paper prints them
BROKEN = ("cells", "claims", "neighbours")  # kinds whose rows take two lines
PAGE = 45  # rows; more go on over the next page
NEEDS = "% needs \\usepackage{array,booktabs,longtable}\\usepackage[T1]{fontenc}\n"
SMALL = "\\scriptsize\\setlength{\\tabcolsep}{1.6pt}"


def latex(kind: str, table: pd.DataFrame, study: str) -> str:
    """booktabs; a float, or a longtable where one page cannot hold it."""
    made = table
    if "augmented" in made:
        made = made.assign(dataset=[_data(*row) for row in zip(made["dataset"], made["augmented"], strict=True)])
    narrow = pd.DataFrame(made, columns=list(PRINTED[kind])).drop_duplicates()
    shown, alike = _without_the_same(kind, readable(kind, narrow))
    if any("+" in text for text in [*alike, *shown.filter(["data"]).to_numpy().ravel()]):
        alike.append("+: with augmentation")
    long = len(shown) > (PAGE // 2 if kind in BROKEN else PAGE)
    style = shown.style.hide(axis="index")
    style.format(escape="latex").format_index(_heading, axis="columns")
    text = style.to_latex(
        hrules=True,
        environment="longtable" if long else None,
        position=None if long else "t",
        position_float=None if long else "centering",
        column_format="".join(_column(kind, column) for column in visible_columns(kind, shown)),
        caption=". ".join([f"{CAPTIONS[kind]} (study {study})", *(["; ".join(alike)] if alike else [])]) + ".",
        label=f"tab:{study}-{kind}",
    )
    if long:
        return f"{NEEDS}{{{SMALL}\n{text}}}\n"
    return NEEDS + text.replace("\\centering\n", f"\\centering{SMALL}\n")


def _data(name: str, augmented: bool) -> str:
    """The data set as the paper prints it; a + where its training images are varied."""
    return DATA.get(name, name) + ("+" if augmented and name != "imagenet" else "")


def _without_the_same(kind: str, shown: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Columns of words, and of seeds, that say the same in every row go into the caption: a printed page is narrow."""
    columns = [c for c in visible_columns(kind, shown) if (is_left(c) and c.name != "verdict") or c.name == "seeds"]
    words = {c.shown: list(dict.fromkeys(shown[c.shown])) for c in columns}
    same = {heading: values[0] for heading, values in words.items() if len(values) == 1 < len(shown)}
    return shown.drop(columns=list(same)), [f"{_escaped(h)}: {_escaped(value)}" for h, value in same.items()]


def _escaped(text: str) -> str:
    return text.replace("%", r"\%").replace("_", r"\_").replace("&", r"\&")


def _heading(text: str) -> str:
    right = {column.shown for columns in TABLES.values() for column in columns if not is_left(column)}
    lines = HEADINGS.get(text, _escaped(text))
    return rf"\shortstack[{'r' if text in right else 'l'}]{{{lines}}}" if r"\\" in lines else lines


def _column(kind: str, column: Column) -> str:
    share = SHARES.get(kind, {}).get(column.name)
    if share:
        return rf">{{\raggedright\arraybackslash}}p{{{share}\linewidth}}"
    return "l" if is_left(column) else "r"
