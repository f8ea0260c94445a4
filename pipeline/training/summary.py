"""The summary of a run for tables: written into result.json, so that tables need to read nothing else of a run."""

from pipeline.numerics.reference_loop import Epoch
from pipeline.plan.experiment import Experiment
from pipeline.records.attempt import Provenance
from pipeline.records.dataset import DatasetManifest
from pipeline.records.result import Summary
from pipeline.store.objects import Store
from pipeline.store.paths import DatasetFolder, RunFolder
from pipeline.training import history
from pipeline.training.attempt_time import attempt_seconds

COPIED = (  # from the attempt's provenance
    "commit", "dirty", "lock_sha256", "python", "host", "processor", "device", "mode", "devices",
)  # fmt: skip


def summary(store: Store, this: Experiment, attempt: int, rows: list[Epoch]) -> Summary:
    """Identity, data, machine and cost of a run whose epochs were `rows`; `attempt` is the one that ended it."""
    run = RunFolder(this.id)
    origin = store.read_record(Provenance, run.provenance(attempt))
    manifest = store.read_record(DatasetManifest, DatasetFolder(this.dataset, this.recipe.preprocess).manifest)
    whitening = manifest.objects.get("whitening.safetensors")
    return Summary(
        network=this.network.name,
        dataset=this.dataset.name,
        augmented=this.recipe.augment is not None,
        lr=this.recipe.lr,
        seed=this.seed,
        revision=this.revision,
        raw_sha256=this.dataset.sha256 or manifest.raw_sha256,
        whitening_sha256=whitening and whitening.sha256,
        torch=origin.versions.get("torch"),
        device_seconds=round(origin.devices * sum(row.seconds for row in rows), 3),
        wasted_seconds=round(origin.devices * _wasted(store, run, attempt, rows), 3),
        **{name: getattr(origin, name) for name in COPIED},
    )


def _wasted(store: Store, run: RunFolder, attempt: int, rows: list[Epoch]) -> float:
    """Seconds that earlier attempts trained, minus those of the epochs that this one took over from them."""
    earlier = range(1, attempt)
    kept = {row for number in earlier for row in history.find(store, run, number)} & set(rows)
    return max(0.0, sum(attempt_seconds(store, run, number) for number in earlier) - sum(row.seconds for row in kept))
