"""The flows' parameters, as the Prefect UI shows them."""

from enum import Enum

from pydantic import BaseModel, ConfigDict, Field

from pipeline.plan.studies import STUDIES, Study, study
from pipeline.runs.settings import settings
from pipeline.runs.store import Store, open_store

StudyName = Enum("StudyName", {name: name for name in STUDIES}, type=str)


class Request(BaseModel):
    """Which study, and where its store is."""

    model_config = ConfigDict(extra="forbid")

    study: StudyName = Field(StudyName("digits"), description="The study: a fixed list of experiments.")
    seeds: int | None = Field(
        None, ge=1, le=100, description="Seeds 0 to this less one; empty: as many as the study asks for."
    )
    store: str | None = Field(
        None, description="A folder or s3://bucket/prefix; empty: STRIVE_STORE where the flow runs."
    )

    def planned(self) -> Study:
        return study(self.study.value, self.seeds)

    def opened(self) -> Store:
        return open_store(settings(self.store).store)


class PrepareRequest(Request):
    """Which study's data, and where they may lie already."""

    data_dir: str | None = Field(
        None,
        description="A folder with the published data sets; empty: STRIVE_DATA_DIR where the flow runs, "
        "else they are downloaded.",
    )


class TrainRequest(Request):
    """Which study to train, and on how many processes."""

    workers: int | None = Field(
        None, ge=1, le=4096, description="Training processes; empty: one for every GPU, else every CPU core."
    )


class ExplainRequest(Request):
    """Whose maps to render, and of how many images."""

    images: int = Field(10, ge=1, le=100, description="Test images to render guided-backpropagation maps of.")


class ReproduceRequest(PrepareRequest, TrainRequest, ExplainRequest):
    """A whole study: data, training, table, pictures."""
