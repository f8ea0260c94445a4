"""The commands that say what there is to do and how far it is, and spend nothing: plans, states, networks."""

from typing import Annotated

import typer

from flows.cli import completion, output
from flows.cli.answers import answered
from flows.cli.options import (
    EveryRunOption,
    JsonOption,
    SeedsOption,
    StatusArgument,
    StoreOption,
    StudyArgument,
    WorkersOption,
    store_of,
)
from pipeline.paper.networks import NETWORKS, find_network
from pipeline.plan import study_files
from pipeline.plan.studies import STUDIES, study
from pipeline.runtime.settings import settings


@answered
def plan(
    name: StudyArgument,
    seeds: SeedsOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    every: EveryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """The runs of a study, their states, and what the missing ones will cost. Starts nothing."""
    chosen, configured = study(name, seeds), settings(store, workers)
    output.plan(store_of(store), chosen, configured.workers, every, as_json)


@answered
def status(
    what: StatusArgument = None,
    seeds: SeedsOption = None,
    store: StoreOption = None,
    every: EveryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """How far a study or a run is: who works on it, which epoch, what came out. Without one: the whole store."""
    output.status(store_of(store), what, seeds, every, as_json)


@answered
def networks(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            autocompletion=completion.networks,
            help="A network's name, in any case, or the file of a study of your own; leave it out for the list.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The paper's networks, layer by layer, with output shapes and parameters."""
    if name and study_files.is_file(name):
        own = study(study_files.add(name, STUDIES))
        chosen = list(dict.fromkeys(e.network for e in own.experiments))
        return output.networks(chosen, as_json, each=True)
    output.networks([find_network(name)] if name is not None else list(NETWORKS.values()), as_json)
