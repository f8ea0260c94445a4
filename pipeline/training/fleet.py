"""A fleet: a process that trains experiments on Ray."""

from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.plan.experiment import Experiment, experiment
from pipeline.runtime.driver import Driver, serve_parent
from pipeline.store import from_workers
from pipeline.store.objects import open_store

if TYPE_CHECKING:
    from pipeline.runtime.ray_cluster import Placement


class Fleet(Driver):
    """The driver of a fleet; it ends when every experiment has its result. Needs no Ray in this process."""

    def __init__(self, experiments: list[Experiment], store_url: str, workers: int | None, news: str | None = None):
        """`news`: the object of the store that says, while the fleet works, what it waits for."""
        plain = [e.plain() for e in experiments]
        order = {"experiments": plain, "store": store_url, "workers": workers, "news": news}
        super().__init__("pipeline.training.fleet", order)


def _train(order: dict, placement: "Placement") -> None:
    from pipeline.training import ray_fleet

    store, news = open_store(order["store"]), order["news"]
    from_workers.insist(store)

    def say(text: str) -> None:
        with suppress(OSError):  # news that cannot be told are no reason to stop
            if news and text:
                store.write_json(news, {"text": text})
            elif news:
                store.delete(news)

    ray_fleet.fleet([experiment(plain) for plain in order["experiments"]], store.url, placement, say)


if __name__ == "__main__":
    serve_parent(_train)
