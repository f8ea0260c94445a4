"""The rows of Table 4 as the paper prints it, and ours beside the paper's."""

from collections.abc import Iterable
from typing import Any

from pipeline.paper.published_errors import PublishedError
from pipeline.paper.table_4 import TABLE_4_PANELS, Method, Panel


def table_4_rows(cells: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The four panels; `cells` are the rows of the study's main table."""
    cells = list(cells)
    return [row for panel in TABLE_4_PANELS for row in _panel(panel, cells)]


def _panel(panel: Panel, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = [_published(panel, neighbour) for neighbour in panel.known]
    printed = {
        "panel": panel.title,
        "method": panel.ours.row,
        "source": "the paper",
        "error": panel.ours.error,
        "parameters": panel.ours.printed_parameters,
        "support": panel.ours.support,
    }
    return [*known, printed, *_ours(panel, cells)]


def _published(panel: Panel, neighbour: Method) -> dict[str, Any]:
    return {
        "panel": panel.title,
        "method": neighbour.method,
        "source": neighbour.source,
        "error": neighbour.error,
        "parameters": neighbour.parameters,
        "support": neighbour.support,
    }


def _ours(panel: Panel, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each rule, or one that says there is none."""
    mine = {"panel": panel.title, "method": panel.ours.row}
    found = [cell for cell in cells if _is(cell, panel.ours)]
    if not found:
        return [mine | {"source": "ours", "verdict": "not run"}]
    return [
        mine
        | {name: cell.get(name) for name in ("error", "low", "high", "seeds", "verdict")}
        | {"source": f"ours, rate by {cell['rule']}", "parameters": f"{cell['parameters']:,}", "support": "measured"}
        for cell in found
    ]


def _is(cell: dict[str, Any], claim: PublishedError) -> bool:
    return (cell["network"], cell["dataset"], cell["augmented"]) == (claim.network, claim.dataset, claim.augmented)
