"""Flow `prepare`: raw images -> whitened data sets in the store."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.parameters import Request
from pipeline.paper.recipes import Preprocess
from pipeline.plan.datasets import Dataset
from pipeline.runs.store import DatasetFolder, open_store


@task(task_run_name="{dataset.name}", cache_policy=NO_CACHE)
def prepare_dataset(dataset: Dataset, how: Preprocess, store_url: str) -> str:
    """One data set, preprocessed one way; returns its folder in the store."""
    store = open_store(store_url)
    folder = DatasetFolder(dataset, how)
    if store.exists(folder.manifest):
        return folder.top
    from pipeline.runs import datasets  # torch: seconds that a prepared data set need not cost

    return datasets.make(store, dataset, how)


@flow(name="prepare", flow_run_name="prepare {request.study.value}", persist_result=False)
def prepare(request: Request) -> list[str]:
    """Make every data set of the study that the store does not hold yet."""
    store = request.opened()
    wanted = dict.fromkeys((e.dataset, e.recipe.preprocess) for e in request.planned().wanted)
    return [prepare_dataset(dataset, how, store.url) for dataset, how in wanted]
