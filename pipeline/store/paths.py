"""The map of the store: what lies where."""

import hashlib
import json

from pipeline.paper.recipes import Preprocess, Whiten
from pipeline.plan.datasets import Dataset
from pipeline.plan.plain_form import untagged
from pipeline.records.result import Result

PREPARATION = 2  # raise it when the same raw data and preprocessing would come out otherwise


class DatasetFolder:
    """The paths of a prepared data set's objects: one folder for each data set and preprocessing."""

    def __init__(self, dataset: Dataset, how: Preprocess):
        spec = json.dumps([untagged(dataset), untagged(how), PREPARATION], sort_keys=True)
        kind = "gcn-zca" if isinstance(how, Whiten) else "pixels"
        self.top = f"datasets/{dataset.name}.{kind}.{hashlib.sha256(spec.encode()).hexdigest()[:8]}"
        self.manifest = self.object("manifest.json")
        self.news = self.object("news.json")  # how far the preparation is

    def object(self, name: str) -> str:
        return f"{self.top}/{name}"


class RunFolder:
    """The paths of a run's objects. Some names on disk are older than the words used in the code."""

    def __init__(self, id: str):
        self.id = id
        self.top = f"runs/{id}"
        self.experiment = f"{self.top}/experiment.json"
        self.result = f"{self.top}/result.json"
        self.old_model = f"{self.top}/model.safetensors"  # where earlier code put the weights
        self.halved = (
            f"{self.top}/model.float16.safetensors"  # committed with the code, where the model itself is too large
        )
        self.not_kept = f"{self.top}/not-kept.json"  # says that the weights were left behind on purpose
        self.evaluation = f"{self.top}/evaluation.json"
        self.retry = f"{self.top}/retry.json"
        self.leases = f"{self.top}/claims"
        self.attempts = f"{self.top}/attempts"
        self.figures = f"{self.top}/figures"

    def lease(self, number: int) -> str:
        return f"{self.leases}/{number}.json"

    def heartbeat(self, number: int) -> str:
        return f"{self.leases}/{number}.beat.json"

    def attempt_end(self, number: int) -> str:
        return f"{self.leases}/{number}.end.json"

    def attempt(self, number: int) -> str:
        return f"{self.attempts}/{number}"

    def weights(self, number: int) -> str:
        return f"{self.attempt(number)}/model.safetensors"

    def weights_of(self, result: Result) -> str:
        """The weights that a result names."""
        return f"{self.top}/{result.weights}" if result.weights else self.old_model

    def history(self, number: int) -> str:
        return f"{self.attempt(number)}/history.parquet"

    def provenance(self, number: int) -> str:
        return f"{self.attempt(number)}/provenance.json"

    def figure(self, name: str) -> str:
        return f"{self.figures}/{name}"


class StudyFolder:
    """The paths of a study's objects."""

    def __init__(self, name: str):
        self.name = name
        self.top = f"studies/{name}"
        self.manifest = self.object("manifest.json")
        self.latest = self.object("latest.json")  # names the latest edition: the one address that is never torn
        self.old_editions = self.object("editions.json")  # the list that earlier code wrote
        self.report = self.object("report.html")
        self.inputs = self.object("inputs.json")  # what tables and page were made from; no part of what is pulled
        self.news = self.object("news.json")  # what its fleet waits for; there while it does
        self.files = self.object("files.json")  # what `strive pull` fetches, with digests; written after these

    @property
    def gallery(self) -> str:
        return self.object("gallery/index.html")

    @property
    def gallery_note(self) -> str:
        return self.object("gallery/index.json")  # the digest of the page

    def object(self, name: str) -> str:
        return f"{self.top}/{name}"

    def table(self, ending: str) -> str:
        return self.object(f"table.{ending}")

    def edition(self, digest: str, name: str) -> str:
        return self.object(f"editions/{digest}/{name}")
