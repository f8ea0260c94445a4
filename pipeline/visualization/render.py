"""Many runs' pictures: in this process while that takes about a minute, over the cluster when it would take longer."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pipeline.paper.recipes import Preprocess
from pipeline.plan.datasets import Dataset
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import Study
from pipeline.records.result import Result
from pipeline.runtime.driver import EVALUATION_FLOPS, HERE_SECONDS, Driver, serve_parent
from pipeline.store import from_workers
from pipeline.store.objects import Store, open_store
from pipeline.store.paths import DatasetFolder, RunFolder
from pipeline.training.progress import Progress
from pipeline.visualization.catalogue import Picture, RenderRequest, check_request, chosen_runs, flops, missing, runs_of

if TYPE_CHECKING:
    from pipeline.runtime.ray_cluster import Placement
    from pipeline.visualization.upload import Rate

SHEET_SECONDS = 0.05  # to draw and put one, whatever is on it
SANITY_SECONDS = 1.0  # to compare the maps of one sanity check
BLOCKS = 5  # sheets of maps that one task draws

Work = Sequence[tuple[Experiment, Sequence[Picture]]]


def explained(store: Store, study: Study) -> list[Experiment]:
    """The study's runs that there are pictures of: one finished run for every number of its table."""
    standings = Progress(store, runs_of(study)).statuses()
    return chosen_runs(study, {s.experiment.id: s.result for s in standings if s.result})


def to_draw(store: Store, experiments: Sequence[Experiment], wanted: RenderRequest) -> Work:
    """Every run with the pictures that it lacks; refused when what is wanted does not fit the runs."""
    check_request(experiments, wanted)
    lacking = (
        (e, missing(store, e, store.read_record(Result, RunFolder(e.id).result).digests, wanted)) for e in experiments
    )
    return [(experiment, pictures) for experiment, pictures in lacking if pictures]


def unprepared(store: Store, work: Work) -> list[tuple[Dataset, Preprocess]]:
    """The data sets of these runs that the store no longer holds as they saw them."""
    seen = dict.fromkeys((e.dataset, e.recipe.preprocess) for e, _ in work)
    return [(dataset, how) for dataset, how in seen if not store.exists(DatasetFolder(dataset, how).manifest)]


def seconds(work: Work) -> float:
    """About what these pictures take one core."""
    return sum(
        flops(experiment, pictures) / EVALUATION_FLOPS
        + SHEET_SECONDS * len(pictures)
        + SANITY_SECONDS * sum(p.kind == "sanity" for p in pictures)
        for experiment, pictures in work
    )


def is_small(work: Work) -> bool:
    return seconds(work) <= HERE_SECONDS


def render_here(store: Store, work: Work) -> "Rate":
    """Every run's pictures, one run after the other, in this process."""
    from pipeline.visualization.upload import Rate, render  # torch

    return sum((render(store, experiment.id, pictures) for experiment, pictures in work), Rate())


class Rendering(Driver):
    """Draws them on the cluster, in parallel over runs and, within a run, over kinds and blocks of images."""

    def __init__(self, work: Work, store_url: str, workers: int | None):
        self._began = time.monotonic()
        portions = [[id, [asdict(p) for p in pictures]] for id, pictures in _portions(work)]
        order = {"portions": portions, "store": store_url, "workers": workers}
        super().__init__("pipeline.visualization.render", order)

    def rate(self) -> "Rate":
        """Wait for all of it; the seconds are those since it began, Ray's start included."""
        from pipeline.visualization.upload import Rate

        rate = Rate(**json.loads(self.wait()))
        return replace(rate, seconds=time.monotonic() - self._began)


def _portions(work: Work) -> Iterator[tuple[str, list[Picture]]]:
    """What one task draws: a run's pictures of one kind, or some of its blocks of images. The long ones first."""
    portions = [part for experiment, pictures in work for part in _split(experiment, pictures)]
    for experiment, pictures in sorted(portions, key=lambda part: seconds([part]), reverse=True):
        yield experiment.id, pictures


def _split(experiment: Experiment, pictures: Sequence[Picture]) -> Iterator[tuple[Experiment, list[Picture]]]:
    for kind in dict.fromkeys(p.kind for p in pictures):
        of_kind = [p for p in pictures if p.kind == kind]
        blocks = list(dict.fromkeys(p.images for p in of_kind)) if kind == "maps" else []
        if not blocks:
            yield experiment, of_kind
        for begin in range(0, len(blocks), BLOCKS):
            some = blocks[begin : begin + BLOCKS]
            yield experiment, [p for p in of_kind if p.images in some]


def _portion(given: tuple[str, str, list[dict]]) -> dict:
    """One task, on a worker."""
    from pipeline.visualization.catalogue import picture
    from pipeline.visualization.upload import render

    store_url, id, pictures = given
    return asdict(render(open_store(store_url), id, [picture(plain) for plain in pictures]))


def _render(order: dict, placement: "Placement") -> str:
    from pipeline.runtime import ray_cluster
    from pipeline.training.attempts import MAX_FAILURES
    from pipeline.visualization.upload import Rate

    from_workers.insist(open_store(order["store"]))
    given = [(order["store"], id, pictures) for id, pictures in order["portions"]]
    rates = ray_cluster.each(_portion, given, placement, MAX_FAILURES)
    return json.dumps(asdict(sum((Rate(**rate) for rate in rates), Rate())))


if __name__ == "__main__":
    serve_parent(_render)
