"""The commands that draw what networks have learned, and the page over the pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import output
from flows.cli.answers import answered, interruptible
from flows.cli.figure_options import (
    ChannelsOption,
    ExplainedRunArgument,
    ImagesToExplainOption,
    LayersOption,
    MapsFolderOption,
    MethodsOption,
    NetworkOfWeightsOption,
    PartOption,
    PhotosArgument,
    PrecisionOption,
    ScaleOption,
    TopOption,
    WeightsOption,
)
from flows.cli.hints import command
from flows.cli.image_words import is_photograph, method_names, words
from flows.cli.options import (
    DataDirOption,
    JsonOption,
    PublishedSeedsOption,
    SeedsOption,
    StoreOption,
    StudyArgument,
    StudyOption,
    WorkersOption,
    find_run,
    patiently,
    store_of,
)
from pipeline.errors import UserError
from pipeline.paper.relu_rules import RULES
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import study
from pipeline.runtime.settings import Settings, settings
from pipeline.store.catalogue import published_seeds
from pipeline.store.objects import Store

if TYPE_CHECKING:
    from pipeline.visualization.catalogue import RenderRequest

ALL_METHODS = ",".join(RULES)


@answered
def figures(
    run: ExplainedRunArgument = None,
    photos: PhotosArgument = None,
    of_study: StudyOption = None,
    seeds: SeedsOption = None,
    images: ImagesToExplainOption = "10",
    network: NetworkOfWeightsOption = None,
    weights: WeightsOption = None,
    preprocess: ScaleOption = "scale",
    to: MapsFolderOption = Path("maps"),
    layers: LayersOption = None,
    channels: ChannelsOption = 8,
    top: TopOption = 10,
    part: PartOption = "test",
    methods: MethodsOption = ALL_METHODS,
    precision: PrecisionOption = "float32",
    workers: WorkersOption = None,
    store: StoreOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw what finished runs have learned: filters, top-activating patches, saliency maps and how far to trust them.

    What is there is not drawn again. About a minute's work is done in this process, more of it on Ray.
    """
    from flows.cli.figures import finished, finished_of, publish_gallery
    from pipeline.visualization.catalogue import RenderRequest, parse_images

    own = [*([images] if is_photograph(images) else []), *(photos or [])]
    if run and (network or of_study) and is_photograph(run):
        own, run = [*own, run], None
    if own or network or weights:
        if of_study or (run is None) == (network is None) or (network is None) != (weights is None):
            raise UserError("for images of your own name one run, or --network with --weights, and the images")
        kept = (network, weights, preprocess)
        return _maps_of(own, store_of(store), run, kept, method_names(methods), to, as_json)
    if (run is None) == (of_study is None):
        raise UserError("name one run, or a study with --study")
    which = parse_images(images)
    if layers is not None and not words(layers):
        raise UserError("--layers names no layer: write conv1,conv6, or leave it out")
    wanted = RenderRequest(which, words(layers), channels, top, part, method_names(methods), precision=precision)
    configured = settings(store, workers, data_dir)
    opened = store_of(store)
    chosen = study(of_study, seeds) if of_study else None
    found = finished_of(opened, chosen) if chosen else [finished(opened, find_run(opened, run or ""))]
    drawn = _drawn(opened, found, wanted, configured)
    output.print_figures(drawn | ({"gallery": publish_gallery(opened, chosen)} if chosen else {}), as_json)


@answered
def gallery(
    name: StudyArgument,
    seeds: PublishedSeedsOption = None,
    store: StoreOption = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the page of a study's pictures and print its address; the page needs no server and no network."""
    from flows.cli.figures import finished_of, publish_gallery

    study(name, seeds)
    opened = store_of(store)
    if show and "://" in opened.url:
        fetched = command(opened, "pull", study(name).on_command_line, "here")
        raise UserError(f"a page in {opened.url} cannot be opened from here: {fetched} brings it to this machine")
    chosen = study(name, seeds or published_seeds(opened, name))
    finished_of(opened, chosen)
    where = publish_gallery(opened, chosen)
    output.print_answer({"study": name, "gallery": where}, where, as_json)
    if show:
        import webbrowser

        webbrowser.open(Path(where).as_uri())


def _maps_of(
    own: list[str],
    store: Store,
    run: str | None,
    kept: tuple[str | None, Path | None, str],
    methods: tuple[str, ...],
    to: Path,
    as_json: bool,
) -> None:
    """Draw maps of images of the user's own, by a finished run or by weights in a file with their network and scale."""
    from flows.cli.figures import finished
    from flows.cli.own_images import look

    found = finished(store, find_run(store, run)) if run else None
    output.print_maps(look(store, found, kept, own, methods, to), as_json)


def _drawn(store: Store, runs: list[Experiment], wanted: "RenderRequest", configured: Settings) -> dict:
    """What there is once the missing pictures of these runs are drawn; stopped, it says that they are kept."""
    from flows.cli.figures import draw

    with interruptible(lambda: "What was drawn is kept; the same command goes on from there."):
        return draw(patiently(store), runs, wanted, configured.workers, configured.data_dir)
