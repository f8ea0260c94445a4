"""How long an attempt trained, as far as the store shows it."""

from datetime import datetime

from pipeline.records.attempt import AttemptEnd, Heartbeat, Provenance
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder

ENDED_ITSELF = ("released", "failed")  # how attempts end that write their end themselves, at once


def attempt_seconds(store: Store, run: RunFolder, attempt: int) -> float:
    """Seconds from the beginning of an attempt to its last heartbeat, or to its end where it wrote that itself.

    Of runs that were trained side by side each has its share.
    """
    origin = store.find_record(Provenance, run.provenance(attempt))
    if origin is None:  # it ended before its training began
        return 0.0
    beat = store.find_record(Heartbeat, run.heartbeat(attempt))
    end = store.find_record(AttemptEnd, run.attempt_end(attempt))
    signs = [origin.at, *([beat.at] if beat else [])]
    if end and end.how in ENDED_ITSELF:
        signs.append(end.at)
    whole = max(map(datetime.fromisoformat, signs)) - datetime.fromisoformat(origin.at)
    return whole.total_seconds() / origin.together


def device_seconds(store: Store, run: RunFolder, attempt: int) -> float:
    """Devices of the attempt x `attempt_seconds`."""
    origin = store.find_record(Provenance, run.provenance(attempt))
    return origin.devices * attempt_seconds(store, run, attempt) if origin else 0.0
