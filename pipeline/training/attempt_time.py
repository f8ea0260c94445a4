"""How long an attempt was at work, as far as the store knows."""

from datetime import datetime

from pipeline.records.attempt import AttemptEnd, Heartbeat, Provenance
from pipeline.store.objects import RunFolder, Store

ENDED_ITSELF = ("released", "failed")  # ends that were written when they happened


def attempt_seconds(store: Store, run: RunFolder, attempt: int) -> float:
    """Seconds from an attempt's first step to its last sign of life."""
    origin = store.find_record(Provenance, run.provenance(attempt))
    if origin is None:  # it never began
        return 0.0
    beat = store.find_record(Heartbeat, run.heartbeat(attempt))
    end = store.find_record(AttemptEnd, run.attempt_end(attempt))
    signs = [origin.at, *([beat.at] if beat else [])]
    if end and end.how in ENDED_ITSELF:
        signs.append(end.at)
    return (max(map(datetime.fromisoformat, signs)) - datetime.fromisoformat(origin.at)).total_seconds()


def device_seconds(store: Store, run: RunFolder, attempt: int) -> float:
    """The same for every device that the attempt held."""
    origin = store.find_record(Provenance, run.provenance(attempt))
    return origin.devices * attempt_seconds(store, run, attempt) if origin else 0.0
