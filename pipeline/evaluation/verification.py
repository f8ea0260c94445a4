"""The weights of many runs, evaluated again: in this process while that takes about a minute, else over the cluster."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.errors import UserError
from pipeline.paper.shapes import multiplications
from pipeline.plan.experiment import Experiment
from pipeline.runtime.driver import EVALUATION_FLOPS, HERE_SECONDS, Driver, serve_parent
from pipeline.store import from_workers
from pipeline.store.objects import open_store

if TYPE_CHECKING:
    from pipeline.runtime.ray_cluster import Placement

NAMED = 5  # runs that one message tells of


def seconds(experiments: Sequence[Experiment]) -> float:
    """About what evaluating these once takes one core."""
    return sum(2 * multiplications(e.network) * e.dataset.test for e in experiments) / EVALUATION_FLOPS


def is_small(experiments: Sequence[Experiment]) -> bool:
    return seconds(experiments) <= HERE_SECONDS


def trouble(given: tuple[str, str]) -> str:
    """Verify one run, given the store's address and its id: empty, or why its weights prove nothing.

    Called on a worker of the cluster, too. StoreError where the store does not do its part.
    """
    from pipeline.evaluation.verify import verify  # torch

    store_url, id = given
    try:
        verify(open_store(store_url), id)
    except UserError as error:
        return str(error)
    return ""


def insist(troubles: Sequence[str]) -> None:
    """UserError where there is any trouble; it tells of the first few."""
    found = [text for text in troubles if text]
    if found:
        more = f" (and {len(found) - NAMED} more such runs)" if len(found) > NAMED else ""
        raise UserError("; ".join(found[:NAMED]) + more)


class Verification(Driver):
    """Verifies these runs on the cluster, a run a task, the long ones first."""

    def __init__(self, experiments: Sequence[Experiment], store_url: str, workers: int | None):
        ids = [e.id for e in sorted(experiments, key=lambda e: seconds([e]), reverse=True)]
        super().__init__("pipeline.evaluation.verification", {"ids": ids, "store": store_url, "workers": workers})

    def troubles(self) -> list[str]:
        """Wait for the end: for every run an empty text, or why its weights prove nothing."""
        return json.loads(self.wait())


def _verify(order: dict, placement: "Placement") -> str:
    from pipeline.runtime import ray_cluster
    from pipeline.training.attempts import MAX_FAILURES

    from_workers.insist(open_store(order["store"]))
    given = [(order["store"], id) for id in order["ids"]]
    return json.dumps(ray_cluster.each(trouble, given, placement, MAX_FAILURES))


if __name__ == "__main__":
    serve_parent(_verify)
