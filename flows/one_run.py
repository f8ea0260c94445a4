"""`strive run`: one experiment in this process."""

import time

from flows.display import Display, console
from pipeline.paper.refused import Refused
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import Study
from pipeline.runs import claims, job
from pipeline.runs.data import datasets
from pipeline.runs.data.sources import silent
from pipeline.runs.progress import Progress, Standing
from pipeline.runs.store import RunFolder, Store


def _taken(store: Store, experiment: Experiment) -> tuple[list[claims.Claim], bool]:
    """A claim on the run; whether somebody elsewhere still lives shows only after a silent minute."""
    owner, watch = claims.Owner(), claims.Watch(store)
    until = time.monotonic() + claims.SILENCE_SECONDS + 1
    while True:
        held, settled = claims.take(store, [experiment], 1, owner, watch)
        if held or settled or time.monotonic() > until or claims.is_here(store, RunFolder(experiment.id)):
            return held, settled
        time.sleep(1)


def train_here(store: Store, experiment: Experiment, data_dir: str | None, quiet: bool) -> Standing:
    """Train it unless it has its outcome; refused while somebody else works on it."""
    show = silent if quiet else console().print
    datasets.make(store, experiment.dataset, experiment.recipe.preprocess, data_dir, show)
    held, settled = _taken(store, experiment)
    progress = Progress(store, [experiment])
    if held:
        if quiet:
            job.run(held, store)
        else:
            with Display(store, Study(experiment.id, experiment.label, (experiment,)), 1, console()):
                job.run(held, store)
    elif not settled:
        [standing] = progress.standings()
        raise Refused(f"{experiment.id} is being trained by {standing.where}; `strive status` shows how far it is")
    [standing] = progress.standings()
    return standing
