"""Flow `reproduce`: data, training, pictures, tables and page."""

from prefect import flow

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
from flows.train import train
from pipeline.visualization.catalogue import REPRODUCTION


@flow(name="reproduce", flow_run_name=run_name, persist_result=False)
def reproduce(
    study: StudyField = DIGITS,
    seeds: Seeds = None,
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
) -> str:
    """Does a whole study: prepares the data, trains every missing run, draws pictures, makes tables and page. What the
    store holds already is not done again. Tables and page lie in the folder `studies` of the store, weights and
    histories in `runs`; returns the main table as Markdown."""
    kept = opened(store)
    this = planned(study, seeds, kept)
    to_draw_of(this, image_numbers or images, layers=tuple(layers) if layers else None)  # refused before any work
    with turn(this.name):
        prepare(study, seeds, kept.url, data_dir)
        train(study, seeds, workers, kept.url)
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
        return table
