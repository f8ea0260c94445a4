"""How long an attempt was at work, as far as the store knows."""

from datetime import datetime

from pipeline.store.objects import RunFolder, Store

ENDED_ITSELF = ("released", "failed")  # ends that were written when they happened


def attempt_seconds(store: Store, run: RunFolder, attempt: int) -> float:
    """Seconds from an attempt's first step to its last sign of life."""
    facts = store.find_json(run.provenance(attempt))
    if facts is None:  # it never began
        return 0.0
    beat = store.find_json(f"{run.claims}/{attempt}.beat.json")
    end = store.find_json(f"{run.claims}/{attempt}.end.json")
    signs = [facts["at"], *([beat["at"]] if beat else [])]
    if end and end["how"] in ENDED_ITSELF:
        signs.append(end["at"])
    return (max(map(datetime.fromisoformat, signs)) - datetime.fromisoformat(facts["at"])).total_seconds()


def device_seconds(store: Store, run: RunFolder, attempt: int) -> float:
    """The same for every device that the attempt held."""
    facts = store.find_json(run.provenance(attempt)) or {}
    return facts.get("devices", 1) * attempt_seconds(store, run, attempt)
