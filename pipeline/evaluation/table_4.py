"""The rows of Table 4: the paper's baselines, its own number, and ours."""

from collections.abc import Iterable
from typing import Any

from pipeline.evaluation.schema import rule_words
from pipeline.paper.published_errors import PublishedError
from pipeline.paper.table_4 import TABLE_4_PANELS, Method, Panel


def table_4_rows(cells: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of all four panels of Table 4; `cells` are the rows of the study's table of errors."""
    cells = list(cells)
    return [row for panel in TABLE_4_PANELS for row in _panel(panel, cells)]


def _panel(panel: Panel, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = [_published(panel, baseline) for baseline in panel.known]
    printed = {
        "panel": panel.title,
        "method": panel.ours.row,
        "source": "the paper",
        "error": panel.ours.error,
        "parameters": panel.ours.printed_parameters,
        "support": panel.ours.support,
    }
    return [*known, printed, *_ours(panel, cells)]


def _published(panel: Panel, baseline: Method) -> dict[str, Any]:
    return {
        "panel": panel.title,
        "method": baseline.method,
        "source": baseline.source,
        "error": baseline.error,
        "parameters": baseline.parameters,
        "support": baseline.support,
    }


def _ours(panel: Panel, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Our rows, one for each rule of choosing the learning rate; one that says "not run" where there is none."""
    mine = {"panel": panel.title, "method": f"{panel.ours.row.removesuffix(' (Ours)')}, reproduced"}
    found = [cell for cell in cells if _is_of(cell, panel.ours)]
    if not found:
        return [mine | {"source": "this reproduction", "verdict": "not run"}]
    return [
        mine
        | {name: cell.get(name) for name in ("error", "low", "high", "seeds", "verdict")}
        | {
            "source": f"this reproduction, learning rate by {rule_words(cell['rule'])}",
            "parameters": f"{cell['parameters']:,}",
            "support": "measured",
        }
        for cell in found
    ]


def _is_of(cell: dict[str, Any], printed: PublishedError) -> bool:
    setting = (printed.network, printed.dataset, printed.augmented)
    return (cell["network"], cell["dataset"], cell["augmented"]) == setting
