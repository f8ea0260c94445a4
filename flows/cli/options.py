"""What the commands share: their arguments and options, said once, and how an error is answered."""

import sys
from typing import Annotated

import typer

from flows.cli import completion
from flows.cli.answers import refusal
from pipeline.errors import UserError, known_name
from pipeline.plan import study_files
from pipeline.plan.datasets import DATASETS, Dataset
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import STUDIES, every_study
from pipeline.runtime.settings import patience, settings
from pipeline.store.objects import LOOK_SECONDS, Store, open_store
from pipeline.whole_path import whole_path

LONG_SECONDS = 3600.0  # work that takes longer is confirmed first


def study_name(text: str | None) -> str | None:
    """The name of a study given in any case or by its Python file, which is made known; exit code 2 if there is
    none."""
    if text is None:
        return None
    with refusal():
        if study_files.is_file(text):
            return study_files.add(text, STUDIES)
        return known_name("study", text, every_study())


def data_folder(text: str | None) -> str | None:
    """The folder of --data-dir; exit code 2 where there is none."""
    with refusal():
        if text is not None and not (text.strip() and whole_path(text).is_dir()):
            raise UserError(
                f"there is no folder {text.strip() or repr(text)}: --data-dir names the one that holds the data sets"
            )
    return text


def store_url(text: str | None) -> str | None:
    """What --store names; exit code 2 where it is blank, as from a variable that is not set."""
    with refusal():
        if text is not None and not text.strip():
            raise UserError("--store is empty: name a folder or s3://bucket/prefix, or leave it out")
    return text


def study_or_none(text: str) -> str | None:
    """The name of the study of that name or file, which is made known; None where there is none."""
    if study_files.is_file(text):
        return study_files.add(text, STUDIES)
    return name if (name := text.strip().lower()) in every_study() else None


# what a study, a run, a store are, said once for every command
StudyArgument = Annotated[
    str,
    typer.Argument(metavar="STUDY", callback=study_name, autocompletion=completion.studies,
                   help=f"The study: {', '.join(STUDIES)}; or a Python file with your own (docs/own-studies.md)."),
]  # fmt: skip
StatusArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="STUDY|RUN",
        autocompletion=completion.studies_and_runs,
        help="A study, a Python file with one, or a run by its beginning.  [default: all that the store holds]",
    ),
]
StudyOption = Annotated[
    str | None,
    typer.Option(
        "--study",
        callback=study_name,
        autocompletion=completion.studies,
        help="Instead of a run, a study: one run for each number in its table.",
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN", autocompletion=completion.runs, help="A run's id or its beginning."),
]
OneRunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN", autocompletion=completion.runs, help="A run's id or its beginning; or give --network."
    ),
]
NetworkOption = Annotated[
    str | None,
    typer.Option(autocompletion=completion.networks, help="Of your own run: a network of `strive networks`."),
]
WidthOption = Annotated[str, typer.Option(help="Of your own run: the share of the network's width, 1/2.")]
EpochsOption = Annotated[
    int | None, typer.Option(help="Of your own run: epochs; the learning rate drops at the same share of them.")
]
BatchOption = Annotated[int | None, typer.Option(help="Of your own run: images per update.")]
LearningRateOption = Annotated[
    float | None, typer.Option("--learning-rate", help="Of your own run: its learning rate.")
]
SideOption = Annotated[
    int | None, typer.Option(help="Of your own run: pixels that photographs are resized to.  [default: 32]")
]
DataOption = Annotated[
    str,
    typer.Option(
        autocompletion=completion.data,
        help=f"Of your own run: {', '.join(name for name in DATASETS if '-' not in name)}; or your own as "
        "imagefolder:DIR, npz:FILE or cifar:DIR (docs/own-data.md).",
    ),
]
AugmentedOption = Annotated[bool, typer.Option("--augmented", help="Of your own run: flips and small translations.")]
PreprocessOption = Annotated[
    str | None,
    typer.Option(
        autocompletion=completion.preprocessing, help="Of your own run: whiten or scale.  [default: the data set's]"
    ),
]
SeedOption = Annotated[int, typer.Option(help="Of your own run: its seed.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Begin work of more than an hour without asking.")]
EveryRunOption = Annotated[bool, typer.Option("--all", help="List every run with its id, however many there are.")]
StoreOption = Annotated[
    str | None,
    typer.Option(
        callback=store_url, help="Folder or s3://bucket/prefix.  [default: $STRIVE_STORE, else ./strive-store]"
    ),
]
SeedsOption = Annotated[
    int | None,
    typer.Option(
        help="Number of seeds: 0 to N-1.  [default: the study's own, 1 for digits, 5 for table-3]", metavar="N"
    ),
]
PublishedSeedsOption = Annotated[
    int | None,
    typer.Option("--seeds", help="Number of seeds: 0 to N-1.  [default: as in the study's tables]", metavar="N"),
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Worker processes.  [default: one per GPU, else one per CPU core]", metavar="N")
]
DataDirOption = Annotated[
    str | None,
    typer.Option(
        callback=data_folder,
        help="Folder with the published data sets.  [default: $STRIVE_DATA_DIR, else they are downloaded]",
    ),
]
ImagesOption = Annotated[
    str, typer.Option(help="Test images to explain: 10 for ten, of each class in turn; or 0:1000, or 3,17,200:300.")
]
EVERY_RUN = 100_000  # more than any study has
ReplicateOption = Annotated[
    str | None,
    typer.Option(
        help="Train this many finished runs again (or all), from nothing, by today's code and libraries, and compare. "
        "Those replicated longest ago come first."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead; its keys are stable.")]


def how_many(replicate: str | None) -> int | None:
    """What --replicate asks for, as a number of runs."""
    if replicate is None or replicate == "all":
        return replicate and EVERY_RUN
    if not replicate.isdecimal() or not 0 < int(replicate) <= EVERY_RUN:
        raise UserError(f"--replicate must be a number of runs, 1 or more, or all, not {replicate!r}")
    return int(replicate)


def store_of(url: str | None) -> Store:
    """The store of a command, looked into: it is waited for as long as a person waits."""
    from pipeline.store.local import Folder

    opened = open_store(settings(url).store, LOOK_SECONDS)
    if isinstance(opened.backend, Folder):
        opened.backend.insist_that_it_can_be_made()
    return opened


def patiently(store: Store) -> Store:
    """The store of a command that has looked into it and goes to work now: it is waited for as the setting says."""
    return store.within(patience())


def find_run(store: Store, text: str) -> Experiment:
    """The one experiment whose id begins so, among those of the studies and of the store."""
    from pipeline.store.catalogue import find

    return find(store, text.strip().lower())


def find_dataset(text: str, side: int | None = None) -> Dataset:
    """The data set of that name; or your own, by its kind and place: npz:FILE."""
    if ":" in text:
        from pipeline.data.own_data import lines, own_dataset  # numpy: built-in data sets need none of it

        found = own_dataset(text, side)
        typer.echo("\n".join(lines(found)), err=True)
        return found
    if side is not None:
        raise UserError(f"--side is for photographs, imagefolder:DIR, not for {text}")
    return DATASETS[known_name("data set", text, DATASETS)]


def insist_on_range(option: str, number: float | None, least: float, most: float) -> None:
    """UserError where an option's number, if it has one, is none, or beyond what can be trained."""
    if number is not None and not least <= number <= most:
        raise UserError(f"{option} must lie between {least:g} and {most:,}, not {number}")


def confirm(what: str, seconds: float, yes: bool) -> None:
    """Say how long the work will take, about; over an hour it needs `--yes`, or a yes on a terminal."""
    from pipeline.plan.words import duration

    typer.echo(f"{what}: about {duration(seconds)}.", err=True)
    if seconds <= LONG_SECONDS or yes:
        return
    if not sys.stdin.isatty():
        raise UserError(f"this takes about {duration(seconds)}: add --yes to begin")
    try:
        begin = typer.confirm("Begin?", err=True)
    except typer.Abort:  # Ctrl-D
        begin = False
    if not begin:
        raise UserError("nothing was begun")
