"""Flow `prepare`: published images -> prepared data sets in the store."""

from collections.abc import Callable
from contextlib import suppress

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.parameters import PrepareRequest
from pipeline.paper.recipes import Preprocess
from pipeline.plan.datasets import Dataset
from pipeline.runtime.settings import settings
from pipeline.store.objects import DatasetFolder, Store, open_store


@task(task_run_name="{dataset.name}", cache_policy=NO_CACHE)
def prepare_dataset(dataset: Dataset, how: Preprocess, store_url: str, data_dir: str | None) -> str:
    """One data set, preprocessed one way; returns its folder in the store."""
    store = open_store(store_url)
    folder = DatasetFolder(dataset, how)
    if store.exists(folder.manifest):
        return folder.top
    from pipeline.data.prepare import make  # torch: seconds that a prepared data set need not cost

    try:
        return make(store, dataset, how, data_dir, _news(store, folder))
    finally:
        store.delete(folder.news)


def _news(store: Store, folder: DatasetFolder) -> Callable[[str], None]:
    """Tells the log, and whoever watches the store, how far it is."""
    log = get_run_logger()

    def tell(text: str) -> None:
        log.info(text)
        with suppress(OSError):  # news that nobody hears are no reason to stop
            store.write_json(folder.news, {"text": text})

    return tell


@flow(name="prepare", flow_run_name="prepare {request.study.value}", persist_result=False)
def prepare(request: PrepareRequest) -> list[str]:
    """Make every data set of the study that the store does not hold yet."""
    store, data_dir = request.opened(), settings(data_dir=request.data_dir).data_dir
    wanted = dict.fromkeys((e.dataset, e.recipe.preprocess) for e in request.planned().wanted)
    return [prepare_dataset(dataset, how, store.url, data_dir) for dataset, how in wanted]
