"""The flows' parameters, as the Prefect UI shows them: one field each, with its title, its help and its limits.

The order of the fields is that of a flow's arguments. A title and a help text travel in `json_schema_extra`, for
Prefect writes its own into the usual places.
"""

import re
from dataclasses import dataclass
from enum import Enum
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from pipeline.paper.relu_rules import RULES
from pipeline.plan.schedule import cpu_seconds, gpu_seconds
from pipeline.plan.studies import Study, every_study, study
from pipeline.runtime.settings import settings
from pipeline.store.catalogue import seeds_to_plan
from pipeline.store.objects import Store, open_store
from pipeline.visualization.catalogue import BLOCK, PARTS, PRECISIONS, RenderRequest, check_request, runs_of

if TYPE_CHECKING:  # a checker knows no enum whose members are computed

    class _Word(str):
        value: str

    Method = _Word
    Part = _Word
    Precision = _Word
    StudyName = _Word
else:  # as enums, the Prefect UI offers them as a choice
    Method = Enum("Method", {name: name for name in RULES}, type=str)
    Part = Enum("Part", {name: name for name in PARTS}, type=str)
    Precision = Enum("Precision", {name: name for name in PRECISIONS}, type=str)
    StudyName = Enum("StudyName", {name: name for name in every_study()}, type=str)

DIGITS, METHODS = StudyName("digits"), [Method(name) for name in RULES]
TEST, FLOAT32 = Part("test"), Precision("float32")


def _field(title: str, help: str, **limits: Any) -> Any:
    return Field(json_schema_extra={"title": title, "description": help}, **limits)


def _hours(seconds: float) -> str:
    if seconds < 90:
        return "a minute" if seconds > 20 else "seconds"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.0f} h"


@dataclass(frozen=True)
class StudiesText:
    """All studies in words, for the deployments."""

    table: str  # what each is and costs, as Markdown
    help: str  # the question and the times of each in one paragraph, for the form joins lines


def studies_text() -> StudiesText:
    """The studies as they are now, the user's own too; it plans every one of them, which takes a while."""
    rows, each = [], []
    for this in map(study, every_study()):
        about, (core, gpu) = _question(this), _times(this)
        rows.append("| " + " | ".join([f"`{this.name}`", about, str(len(this.wanted)), core, gpu]) + " |")
        each.append(f"{this.name}: {about} ({core}; {gpu})")
    head = "| study | question | runs | on a core | on a GPU |\n|---|---|---|---|---|\n"
    table = head + "\n".join(rows) + "\n\nTimes are estimates, of training alone."
    help = "What to reproduce. In parentheses: about how long it trains on one CPU core; on one GPU."
    return StudiesText(table, f"{help} {' | '.join(each)}")


def _times(this: Study) -> tuple[str, str]:
    """About how long all its runs train on one CPU core and on one GPU."""
    return _hours(sum(map(cpu_seconds, this.wanted))), _hours(sum(map(gpu_seconds, this.wanted)))


def _question(this: Study) -> str:
    """In one short line, in which Markdown reads no markup: a study may be a user's own."""
    line = shorten(this.question or "no question given", 120, placeholder="…")
    return re.sub(r"([\\`*_<>\[\]#|~])", r"\\\1", line)


STUDIES_HELP = (
    "What to reproduce: digits takes minutes on a laptop, table-3 hours on a GPU. The deployment's page lists them all."
)

StudyField = Annotated[StudyName, _field("Study", STUDIES_HELP)]
Seeds = Annotated[
    int | None,
    _field(
        "Seeds",
        "Seeds 0 to N-1. Empty: as many as the study asks for, or as its published tables have, if more.",
        ge=1,
        le=100,
    ),
]
Replicate = Annotated[
    int | None,
    _field(
        "Does it still reproduce?",
        "Train this many finished runs again, from nothing, by the code and libraries of today, and compare: those "
        "replicated longest ago. Empty: none.",
        ge=1,
        le=100_000,
    ),
]
Images = Annotated[
    int, _field("Images", "Test images to draw saliency maps of: this many, of each class in turn.", ge=1, le=BLOCK)
]
ImageNumbers = Annotated[
    list[Annotated[int, Field(ge=0, le=49_999)]] | None,
    _field("Image numbers", "Draw the maps of these test images instead, by their numbers; the first is 0."),
]
Workers = Annotated[
    int | None,
    _field("Workers", "Worker processes. Empty: one for every GPU, else one for every CPU core.", ge=1, le=4096),
]
StoreUrl = Annotated[
    str | None,
    _field("Store", "A folder or s3://bucket/prefix. Empty: STRIVE_STORE of the machine that runs the flow."),
]
DataDir = Annotated[
    str | None,
    _field(
        "Data folder",
        "Where the published data sets lie on the machine that runs the flow. Empty: its STRIVE_DATA_DIR, else they "
        "are downloaded.",
    ),
]
Layers = Annotated[
    list[Annotated[str, Field(pattern=r"^(conv[1-9][0-9]?|scores)$")]] | None,
    _field(
        "Layers",
        "Layers whose top-activating patches to show, such as conv1. Empty: half and three quarters of the way up.",
    ),
]
Channels = Annotated[int, _field("Channels", "Most active channels to show of each of these layers.", ge=1, le=1000)]
Top = Annotated[int, _field("Patches", "Top-activating patches to show of each of these channels.", ge=1, le=100)]
PartField = Annotated[Part, _field("Patches from", "Whose images these patches are of: test or training images.")]
Methods = Annotated[
    list[Method], _field("Methods", "Ways back through a ReLU, as the paper compares them in Figure 1.", min_length=1)
]
Sanity = Annotated[
    int, _field("Images of sanity checks", "Test images for the checks with random weights.", ge=1, le=1000)
]
PrecisionField = Annotated[
    Precision, _field("Number format", "Of drawing: bfloat16 is quicker where the machine has it.")
]


def opened(store: str | None) -> Store:
    """The store that a flow was given, else that of the machine's settings."""
    return open_store(settings(store).store)


def planned(study_name: StudyName, seeds: int | None, store: Store) -> Study:
    """The study; without `seeds` never with fewer than its published tables have."""
    return study(study_name.value, seeds_to_plan(store, study_name.value, seeds))


def to_draw_of(this: Study, images: int | list[int], **wanted: Any) -> RenderRequest:
    """What to draw of a study's networks; UserError where it does not fit them."""
    request = RenderRequest(images=tuple(dict.fromkeys(images)) if isinstance(images, list) else images, **wanted)
    check_request(runs_of(this), request)
    return request
