"""The flows' parameters, as the Prefect UI shows them."""

from enum import Enum
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.paper.relu_rules import RULES
from pipeline.plan.studies import Study, every_study, study
from pipeline.runtime.settings import settings
from pipeline.store.objects import Store, open_store
from pipeline.visualization.catalogue import (
    PARTS,
    PRECISIONS,
    REPRODUCTION,
    RenderRequest,
    check_request,
    parse_images,
    runs_of,
)

if TYPE_CHECKING:  # a checker knows no enum whose members are computed

    class _Word(str):
        value: str

    Part = _Word
    Precision = _Word
    StudyName = _Word
else:  # as enums, the Prefect UI offers them as a choice
    Part = Enum("Part", {name: name for name in PARTS}, type=str)
    Precision = Enum("Precision", {name: name for name in PRECISIONS}, type=str)
    StudyName = Enum("StudyName", {name: name for name in every_study()}, type=str)


class Request(BaseModel):
    """Which study, and where its store is."""

    model_config = ConfigDict(extra="forbid")

    study: StudyName = Field(default=StudyName("digits"), description="The study: a fixed list of experiments.")
    seeds: int | None = Field(
        default=None, ge=1, le=100, description="Number of seeds: 0 to N-1; empty: as many as the study asks for."
    )
    store: str | None = Field(
        default=None, description="A folder or s3://bucket/prefix; empty: STRIVE_STORE where the flow runs."
    )

    def planned(self) -> Study:
        return study(self.study.value, self.seeds)

    def opened(self) -> Store:
        return open_store(settings(self.store).store)


class PrepareRequest(Request):
    """Which study's data, and where they may lie already."""

    data_dir: str | None = Field(
        default=None,
        description="A folder with the published data sets; empty: STRIVE_DATA_DIR where the flow runs, "
        "else they are downloaded.",
    )


class TrainRequest(Request):
    """Which study to train, and on how many processes."""

    workers: int | None = Field(
        default=None, ge=1, le=4096, description="Training processes; empty: one for every GPU, else every CPU core."
    )


class ExplainRequest(Request):
    """What to draw of every finished network."""

    images: str = Field(
        default="10", description="Test images to map: a number, of every class in turn, or a range 0:1000."
    )
    layers: list[str] | None = Field(
        default=None,
        description="Layers whose top-activating patches to show, conv1 and on; empty: half and three quarters up.",
    )
    channels: int = Field(default=8, ge=1, le=1000, description="Most active channels of each of these layers.")
    top: int = Field(default=10, ge=1, le=100, description="Top-activating patches of each of these channels.")
    part: Part = Field(default=Part("test"), description="Whose images these patches are of: test or train.")
    methods: list[str] = Field(
        default=list(RULES), description="Ways back through a ReLU: backprop, deconvnet, guided."
    )
    sanity: int = Field(default=16, ge=1, le=1000, description="Test images for the checks with random weights.")
    precision: Precision = Field(default=Precision("float32"), description="bfloat16 is quicker where it is native.")
    workers: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Processes, where Ray is worth it; empty: one for every GPU, else every core.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_request(runs_of(self.planned()), self.wanted())
        return self

    def wanted(self) -> RenderRequest:
        layers, methods = tuple(self.layers) if self.layers else None, tuple(self.methods)
        images, precision = parse_images(self.images), self.precision.value
        return RenderRequest(
            images=images,
            layers=layers,
            channels=self.channels,
            top=self.top,
            part=self.part.value,
            methods=methods,
            sanity=self.sanity,
            precision=precision,
        )


class ReproduceRequest(PrepareRequest, TrainRequest, ExplainRequest):
    """A whole study: data, training, table, and few pictures; flow `explain` draws more."""

    channels: int = Field(
        default=REPRODUCTION.channels, ge=1, le=1000, description="Most active channels of each of these layers."
    )
    sanity: int = Field(
        default=REPRODUCTION.sanity, ge=1, le=1000, description="Test images for the checks with random weights."
    )
