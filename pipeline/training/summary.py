"""The summary of a run for tables: written into result.json, so that tables need to read nothing else of a run."""

from pipeline.numerics.reference_loop import Epoch
from pipeline.plan.experiment import Experiment
from pipeline.records.attempt import Provenance
from pipeline.records.dataset import DatasetManifest
from pipeline.records.result import Summary
from pipeline.store.objects import Store
from pipeline.store.paths import DatasetFolder, RunFolder
from pipeline.training.attempt_time import attempt_seconds
from pipeline.training.lineage import earlier_origins, origin_of, trained_by


def summary(store: Store, this: Experiment, attempt: int, rows: list[Epoch]) -> Summary:
    """Identity, data, machine and cost of a run whose epochs were `rows`; `attempt` is the one that ended it."""
    run = RunFolder(this.id)
    origin = store.read_record(Provenance, run.provenance(attempt))
    manifest = store.read_record(DatasetManifest, DatasetFolder(this.dataset, this.recipe.preprocess).manifest)
    whitening = manifest.objects.get("whitening.safetensors")
    trained = trained_by(store, run, attempt, rows)
    used = dict.fromkeys(range(1, attempt + 1), 0.0)  # seconds of each attempt that are in the run
    for number, row in zip(trained, rows, strict=True):
        used[number] += row.seconds
    devices = {number: _devices(store, run, number) for number in range(1, attempt + 1)}
    return Summary(
        network=this.network.name,
        dataset=this.dataset.name,
        augmented=this.recipe.augment is not None,
        lr=this.recipe.lr,
        seed=this.seed,
        revision=this.revision,
        raw_sha256=this.dataset.sha256 or manifest.raw_sha256,
        whitening_sha256=whitening and whitening.sha256,
        devices=origin.devices,
        device_seconds=round(sum(devices[number] * seconds for number, seconds in used.items()), 3),
        wasted_seconds=round(
            sum(
                devices[number] * max(0.0, attempt_seconds(store, run, number) - used[number])
                for number in range(1, attempt)
            ),
            3,
        ),
        earlier=earlier_origins(store, run, attempt, trained),
        **vars(origin_of(origin)),
    )


def _devices(store: Store, run: RunFolder, attempt: int) -> int:
    """Devices that the attempt computed on; 0 where it ended before its training began."""
    origin = store.find_record(Provenance, run.provenance(attempt))
    return origin.devices if origin else 0
