"""Finished runs in a store, without the training."""

from support.synthetic import result

from pipeline.numerics.reference_loop import Epoch
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import study
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.training import history

SMOKE = study("smoke")


def train(store: Store, experiment: Experiment, error: float) -> None:
    """A run with this error in percent, a history of 20 epochs and a picture."""
    epochs = [Epoch(n, 0.05, 1.0, 500 - n, 1000, *((90 - n, 100) if n % 2 else (None, None)), 1.0) for n in range(20)]
    run = RunFolder(experiment.id)
    history.write(store, run, 1, epochs)
    store.write_json(run.result, result(experiment, error, digests={"model": "m", "dataset": "d"}).plain())
    store.write(f"{run.top}/figures/guided-backprop.png", b"a picture")


def trained(store: Store) -> Store:
    """The runs of the study smoke, with 3 % and 4 %."""
    for number, experiment in enumerate(SMOKE.experiments):
        train(store, experiment, 3.0 + number)
    return store


def done(store: Store, experiment: Experiment, **more: object) -> None:
    """A result alone; `more` are other fields of it."""
    result = {"outcome": "done", "attempt": 1, "epochs": 2, "wrong": 3, "seen": 355, "seconds": 1.0, **more}
    store.write_json(RunFolder(experiment.id).result, result)
