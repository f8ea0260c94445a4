"""The summary of a run for tables: written into result.json, so that tables need to read nothing else of a run."""

from dataclasses import replace

from pipeline.numerics.reference_loop import Epoch
from pipeline.plan.experiment import Experiment
from pipeline.records.attempt import Provenance
from pipeline.records.dataset import DatasetManifest
from pipeline.records.result import Summary
from pipeline.store.objects import Store
from pipeline.store.paths import DatasetFolder, RunFolder
from pipeline.training.attempt_time import attempt_seconds
from pipeline.training.lineage import earlier_origins, origin_of, shares


def summary(store: Store, this: Experiment, attempt: int, rows: list[Epoch]) -> Summary:
    """Identity, data, machine and cost of a run whose epochs were `rows`; `attempt` is the one that ended it."""
    run = RunFolder(this.id)
    origin = store.read_record(Provenance, run.provenance(attempt))
    manifest = store.read_record(DatasetManifest, DatasetFolder(this.dataset, this.recipe.preprocess).manifest)
    whitening = manifest.objects.get("whitening.safetensors")
    used = shares(store, run, attempt, rows)
    devices = {number: _devices(store, run, number, origin) for number in {*used, *range(1, attempt)}}
    wasted = (
        devices[number] * max(0.0, attempt_seconds(store, run, number) - used.get(number, 0.0))
        for number in range(1, attempt)
    )
    return Summary(
        network=this.network.name,
        dataset=this.dataset.name,
        augmented=this.recipe.augment is not None,
        lr=this.recipe.lr,
        seed=this.seed,
        revision=this.revision,
        raw_sha256=this.dataset.sha256 or manifest.raw_sha256,
        devices=origin.devices,
        device_seconds=round(sum(devices[number] * seconds for number, seconds in used.items()), 3),
        wasted_seconds=round(sum(wasted), 3),
        earlier=earlier_origins(store, run, attempt, [*used]),
        **vars(replace(origin_of(origin), whitening_sha256=whitening and whitening.sha256)),
    )


def _devices(store: Store, run: RunFolder, attempt: int, last: Provenance) -> int:
    """Devices that the attempt computed on; where that is not known, as many as the last one."""
    return (store.find_record(Provenance, run.provenance(attempt)) or last).devices
