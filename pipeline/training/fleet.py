"""A fleet: a process that trains experiments on Ray."""

from typing import TYPE_CHECKING

from pipeline.plan.experiment import Experiment, experiment
from pipeline.runtime.driver import Driver, serve_parent

if TYPE_CHECKING:
    from pipeline.runtime.ray_cluster import Placement


class Fleet(Driver):
    """The driver of a fleet; it ends when every experiment has its result. Needs no Ray in this process."""

    def __init__(self, experiments: list[Experiment], store_url: str, workers: int | None):
        order = {"experiments": [e.plain() for e in experiments], "store": store_url, "workers": workers}
        super().__init__("pipeline.training.fleet", order)


def _train(order: dict, placement: "Placement") -> None:
    from pipeline.training import ray_train

    ray_train.fleet([experiment(plain) for plain in order["experiments"]], order["store"], placement)


if __name__ == "__main__":
    serve_parent(_train)
