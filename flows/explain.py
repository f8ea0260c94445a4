"""Flow `explain`: a study's finished runs -> pictures of what they have learned, and the gallery that shows them."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.hosted import run_name, turn
from flows.parameters import (
    DIGITS,
    FLOAT32,
    METHODS,
    TEST,
    Channels,
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
from pipeline.errors import UserError
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import Study
from pipeline.publication.pull import update_list
from pipeline.runtime.settings import settings
from pipeline.store.objects import Store, open_store
from pipeline.store.paths import StudyFolder
from pipeline.visualization.catalogue import Picture, RenderRequest, runs_of
from pipeline.visualization.render import Rendering, Work, explained, is_small, render_here, to_draw, unprepared


@task(task_run_name="pictures of {experiment.id}", cache_policy=NO_CACHE)
def render(experiment: Experiment, pictures: list[Picture], store_url: str) -> dict:
    """One run's pictures, in this process; returns how many maps, and how fast."""
    return render_here(open_store(store_url), [(experiment, pictures)]).plain()


@task(task_run_name="pictures of {study}", cache_policy=NO_CACHE)
def render_on_cluster(study: str, at_work: Rendering) -> dict:
    """All runs' pictures on the cluster; returns how many maps, and how fast."""
    return at_work.rate().plain()


@task(task_run_name="gallery of {study}", cache_policy=NO_CACHE)
def publish_gallery(study: str, experiments: list[Experiment], store_url: str) -> str:
    """The study's page; returns its path in the store."""
    from pipeline.visualization import gallery  # jinja2

    return gallery.publish_gallery(open_store(store_url), study, experiments)


@flow(name="explain", flow_run_name=run_name, persist_result=False)
def explain(
    study: StudyField = DIGITS,
    images: Images = 10,
    methods: Methods = METHODS,
    workers: Workers = None,
    seeds: Seeds = None,
    store: StoreUrl = None,
    image_numbers: ImageNumbers = None,
    layers: Layers = None,
    channels: Channels = 8,
    top: Top = 10,
    part: PartField = TEST,
    sanity: Sanity = 16,
    precision: PrecisionField = FLOAT32,
) -> str:
    """Draws what the finished networks of a study have learned, and a gallery of it: filters, top-activating patches,
    saliency maps. Makes `runs/*/figures` and `studies/*/figures` of the store; returns the path of the gallery."""
    kept = opened(store)
    this = planned(study, seeds, kept)
    request = to_draw_of(
        this,
        image_numbers or images,
        layers=tuple(layers) if layers else None,
        channels=channels,
        top=top,
        part=part.value,
        methods=tuple(method.value for method in methods),
        sanity=sanity,
        precision=precision.value,
    )
    with turn(this.name):
        return _explain(kept, this, request, workers)


def _explain(store: Store, study: Study, request: RenderRequest, workers: int | None) -> str:
    work = to_draw(store, explained(store, study), request)
    for dataset, _ in unprepared(store, work):
        raise UserError(f"{store.url} no longer holds {dataset.name} as these runs saw it: the flow `prepare` makes it")
    here = []
    if is_small(work):
        here = [render(experiment, pictures, store.url, return_state=True) for experiment, pictures in work]
    else:
        _on_cluster(study.name, work, store.url, settings(workers=workers).workers)
    from pipeline.visualization.gallery import is_whole  # jinja2

    if work or not is_whole(store, study.name):
        publish_gallery(study.name, runs_of(study), store.url)
        update_list(store, study.name, [e.id for e in study.wanted])
    for state in here:
        state.result()  # raises what one run failed with, once the others have their pictures
    return StudyFolder(study.name).gallery


def _on_cluster(study: str, work: Work, store_url: str, workers: int | None) -> None:
    with Rendering(work, store_url, workers) as at_work:
        render_on_cluster(study, at_work)
