"""Flow `prepare`: published images -> prepared data sets in the store."""

from collections.abc import Callable
from contextlib import suppress

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.hosted import run_name, turn
from flows.parameters import DIGITS, DataDir, Seeds, StoreUrl, StudyField, opened, planned
from pipeline.data import preparation
from pipeline.errors import StoreError
from pipeline.paper.recipes import Preprocess
from pipeline.plan.datasets import Dataset
from pipeline.records.dataset import DatasetManifest
from pipeline.runtime.settings import settings
from pipeline.store.objects import BRIEF_SECONDS, Store, open_store
from pipeline.store.paths import DatasetFolder


@task(task_run_name="{dataset.name}", cache_policy=NO_CACHE)
def prepare_dataset(dataset: Dataset, how: Preprocess, store_url: str, data_dir: str | None) -> str:
    """One data set, preprocessed one way; returns its folder in the store."""
    store = open_store(store_url)
    folder = DatasetFolder(dataset, how)
    if store.find_record(DatasetManifest, folder.manifest) is not None:
        return folder.top
    tell = _news(store.within(BRIEF_SECONDS), folder)
    try:
        if preparation.is_small(store, dataset, how):
            from pipeline.data.prepare import make  # torch: seconds that a prepared data set need not cost

            return make(store, dataset, how, data_dir, tell)
        tell(f"{dataset.name}: photographs are decoded on all hosts of the cluster")
        with preparation.Preparation(dataset, how, store.url, data_dir, settings().workers) as at_work:
            return at_work.wait()
    finally:
        with suppress(StoreError):  # old news do no harm, and must not hide what went wrong
            store.within(BRIEF_SECONDS).delete(folder.news)


def _news(store: Store, folder: DatasetFolder) -> Callable[[str], None]:
    """Tells the log, and those who watch the store, how far it is."""
    log = get_run_logger()

    def tell(text: str) -> None:
        log.info(text)
        with suppress(OSError):  # news that cannot be told are no reason to stop
            store.write_json(folder.news, {"text": text})

    return tell


@flow(name="prepare", flow_run_name=run_name, persist_result=False)
def prepare(
    study: StudyField = DIGITS, seeds: Seeds = None, store: StoreUrl = None, data_dir: DataDir = None
) -> list[str]:
    """Downloads and preprocesses the data sets of a study, unless the store has them already. Makes the folder `data`
    of the store; returns what it holds of the study."""
    kept, given = opened(store), settings(data_dir=data_dir).data_dir
    with turn(study.value):
        wanted = dict.fromkeys((e.dataset, e.recipe.preprocess) for e in planned(study, seeds, kept).wanted)
        return [prepare_dataset(dataset, how, kept.url, given) for dataset, how in wanted]
