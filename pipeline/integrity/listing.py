"""Faults of the listing that shows where all runs stand: keys that say another thing than the runs' own results."""

from collections.abc import Iterable, Iterator

from pipeline.integrity.fault import Fault
from pipeline.plan.experiment import Experiment
from pipeline.store import standings
from pipeline.store.objects import Store
from pipeline.store.results import read_results

MEANS = "a look at very many runs, and the workers of a fleet, take the run for what it is not"


def listing_faults(store: Store, experiments: Iterable[Experiment]) -> Iterator[Fault]:
    """Of the runs of these experiments; what is missing in the listing is no fault."""
    listed = standings.read(store)
    ended = [e.id for e in experiments if e.id in listed.ended]
    results = read_results(store, ended)
    for id in ended:
        result, path = results.get(id), standings.ended_path(listed.ended[id])
        address = store.url_of(path)
        if result is None:
            yield Fault(address, "the run has no result", MEANS, "it is removed", remove=(path,))
        elif result.outcome != "damaged" and (right := standings.ended_name(id, result)) != listed.ended[id]:
            yield Fault(address, "the run has another result", MEANS, "it is replaced",
                        write={standings.ended_path(right): b""}, remove=(path,))  # fmt: skip
