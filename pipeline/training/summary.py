"""What a table needs to know of a run beside its counts: written into result.json, so that nothing else is read."""

from pipeline.numerics.reference_loop import Epoch
from pipeline.plan.experiment import Experiment
from pipeline.store.objects import DatasetFolder, RunFolder, Store
from pipeline.training import history
from pipeline.training.attempt_time import attempt_seconds

COPIED = ("commit", "dirty", "lock_sha256", "python", "host", "processor", "device")  # from the attempt's provenance


def summary(store: Store, this: Experiment, attempt: int, rows: list[Epoch]) -> dict:
    """Identity, data, place and cost of a run whose epochs were `rows`, as JSON."""
    run = RunFolder(this.id)
    facts = store.read_json(run.provenance(attempt))
    manifest = store.read_json(DatasetFolder(this.dataset, this.recipe.preprocess).manifest)
    devices = facts.get("devices", 1)
    return {
        "network": this.network.name,
        "dataset": this.dataset.name,
        "augmented": this.recipe.augment is not None,
        "lr": this.recipe.lr,
        "seed": this.seed,
        "revision": this.revision,
        "raw_sha256": this.dataset.sha256 or manifest.get("raw_sha256"),
        "whitening_sha256": manifest["objects"].get("whitening.safetensors", {}).get("sha256"),
        **{name: facts.get(name) for name in COPIED},
        "torch": facts["versions"]["torch"],
        "mode": facts.get("mode", "float32"),
        "devices": devices,
        "device_seconds": round(devices * sum(row.seconds for row in rows), 3),
        "wasted_seconds": round(devices * _wasted(store, run, attempt, rows), 3),
    }


def _wasted(store: Store, run: RunFolder, attempt: int, rows: list[Epoch]) -> float:
    """Seconds that earlier attempts were at work, less those of the epochs that this one took over from them."""
    earlier = range(1, attempt)
    kept = {row for number in earlier for row in history.find(store, run, number)} & set(rows)
    return max(0.0, sum(attempt_seconds(store, run, number) for number in earlier) - sum(row.seconds for row in kept))
