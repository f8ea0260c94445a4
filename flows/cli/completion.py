"""Words for the shell's completion. It answers in well under a second: only names, and the runs of a store on this
machine; a bucket is not asked."""

from collections.abc import Callable, Iterable

import typer

from pipeline.errors import UserError
from pipeline.evaluation.schema import FILES
from pipeline.paper.networks import NETWORKS
from pipeline.paper.relu_rules import RULES
from pipeline.plan.datasets import DATASETS, OWN_KINDS
from pipeline.plan.one_run import PREPROCESSING
from pipeline.plan.studies import every_study
from pipeline.runtime.settings import settings
from pipeline.visualization.catalogue import PARTS, PRECISIONS
from pipeline.whole_path import whole_path

Complete = Callable[[str], list[str]]


def of(words: Iterable[str]) -> Complete:
    """Completes one of these words."""
    known = list(words)

    def complete(begun: str) -> list[str]:
        # what was typed stays as it is, since a shell drops words that begin otherwise: names are read in any case
        return [begun + word[len(begun) :] for word in known if word.startswith(begun.lower())]

    return complete


def several_of(words: Iterable[str]) -> Complete:
    """Completes the last word of a list with commas."""
    known = of(words)

    def complete(begun: str) -> list[str]:
        before, comma, last = begun.rpartition(",")
        return [f"{before}{comma}{word}" for word in known(last) if word not in before.split(",")]

    return complete


def studies(begun: str) -> list[str]:
    try:
        return of(every_study())(begun)
    except UserError:  # a file of STRIVE_STUDIES cannot be read, as the command itself will say
        return []


def runs(ctx: typer.Context, begun: str) -> list[str]:
    """The runs that the command's store holds, where it is a folder."""
    try:
        url = (ctx.params.get("store") if ctx else None) or settings().store
        if "://" in url:
            return []
        return sorted(f.name for f in (whole_path(url) / "runs").iterdir() if f.name.startswith(begun.lower()))
    except (OSError, UserError):
        return []


def studies_and_runs(ctx: typer.Context, begun: str) -> list[str]:
    return [*studies(begun), *runs(ctx, begun)]


networks = of(NETWORKS)
data = of([*(name for name in DATASETS if "-" not in name), *(f"{kind}:" for kind in OWN_KINDS)])
methods = several_of(RULES)
preprocessing = of(PREPROCESSING)
kinds = of(name.replace("neighbours", "baselines") for name in FILES)
formats = of(("md", "csv", "json", "tex", "html"))
precisions = of(PRECISIONS)
parts = of(PARTS)
scales = of(("scale", "unit", "imagenet"))
