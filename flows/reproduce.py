"""Flow `reproduce`: data, training, pictures, tables and page."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from flows.explain import explain
from flows.hosted import run_name, turn
from flows.parameters import (
    DIGITS,
    FLOAT32,
    METHODS,
    TEST,
    Channels,
    DataDir,
    ImageNumbers,
    Images,
    Layers,
    Methods,
    PartField,
    PrecisionField,
    Replicate,
    Sanity,
    Seeds,
    StoreUrl,
    StudyField,
    Top,
    Workers,
    opened,
    planned,
    to_draw_of,
)
from flows.prepare import prepare
from flows.publish import publish
from flows.replicate import replicate as replicate_runs
from flows.train import train
from pipeline.evaluation.results import collect
from pipeline.plan.studies import Study
from pipeline.store.objects import Store
from pipeline.visualization.catalogue import REPRODUCTION


@flow(name="reproduce", flow_run_name=run_name, persist_result=False)
def reproduce(
    study: StudyField = DIGITS,
    seeds: Seeds = None,
    replicate: Replicate = None,
    workers: Workers = None,
    images: Images = 10,
    store: StoreUrl = None,
    data_dir: DataDir = None,
    image_numbers: ImageNumbers = None,
    methods: Methods = METHODS,
    layers: Layers = None,
    channels: Channels = REPRODUCTION.channels,
    top: Top = REPRODUCTION.top,
    part: PartField = TEST,
    sanity: Sanity = REPRODUCTION.sanity,
    precision: PrecisionField = FLOAT32,
) -> str | State:
    """Does a whole study: prepares the data, trains every missing run, draws pictures, makes tables and page. What the
    store holds already is not done again. Tables and page lie in the folder `studies` of the store, weights and
    histories in `runs`; returns the main table as Markdown."""
    kept = opened(store)
    this = planned(study, seeds, kept)
    to_draw_of(this, image_numbers or images, layers=tuple(layers) if layers else None)  # refused before any work
    with turn(this.name):
        prepare(study, seeds, kept.url, data_dir)
        train(study, seeds, workers, kept.url)
        again = replicate_runs(study, replicate, seeds, workers, kept.url) if replicate else {}
        pictures = explain(
            study,
            images,
            methods,
            workers,
            seeds,
            kept.url,
            image_numbers,
            layers,
            channels,
            top,
            part,
            sanity,
            precision,
            return_state=True,
        )
        table = publish(study, seeds, kept.url)
        pictures.result()  # raises what drawing failed with, now that the tables are there
        return final_state(kept, this, again) or table


def final_state(store: Store, this: Study, comparisons: dict[str, str]) -> State | None:
    """How the flow ends where runs crashed, or `comparisons` of runs that were trained again say that they drifted."""
    return _drift(comparisons) or _crash(store, this)


def _drift(comparisons: dict[str, str]) -> State | None:
    """The final state where runs no longer come out as they did."""
    drifted = [id for id, comparison in comparisons.items() if comparison == "drifted"]
    if not drifted:
        return None
    message = f"{len(drifted)} of {len(comparisons)} runs drifted when they were trained again: {', '.join(drifted)}"
    return Failed(name="Drifted", message=f"{message}. The page says by how much.")


def _crash(store: Store, this: Study) -> State | None:
    """The final state where runs crashed; everything else was published."""
    results = collect(store, this.wanted)
    crashed = [id for id, result in results.items() if result.outcome == "crashed"]
    if not crashed:
        return None
    message = f"{len(crashed)} of {len(results)} runs crashed: {', '.join(crashed)}"
    return Failed(message=f"{message}. Everything else is published; `strive retry RUN` lets one be tried again.")
