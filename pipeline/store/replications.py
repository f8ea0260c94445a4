"""The records of replications, all below one prefix, so that one listing finds those of any study."""

from collections.abc import Iterable

from pipeline.records.replication import Replication
from pipeline.store.objects import Store

RECORDS = "replicated"


def path_of(run: str, at: str) -> str:
    """Where the record of a run's replication at that time lies."""
    return f"{RECORDS}/{run}/{at.replace(':', '').replace('+0000', 'Z').replace('.', '')}.json"


def names(store: Store, runs: Iterable[str]) -> list[str]:
    """The records of these runs' replications, as sorted paths."""
    wanted = set(runs)
    return [f"{RECORDS}/{name}" for name in store.names(RECORDS) if name.partition("/")[0] in wanted]


def kept(store: Store, runs: Iterable[str]) -> list[tuple[str, Replication]]:
    """The replications of these runs, with the runs' ids."""
    return [(path.split("/")[1], store.read_record(Replication, path)) for path in names(store, runs)]
