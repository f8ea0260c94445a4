"""Flow `explain`: a study's finished runs -> guided-backpropagation pictures."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.parameters import ExplainRequest
from pipeline.runs.held import is_rendered
from pipeline.runs.progress import Progress
from pipeline.runs.store import RunFolder, open_store


@task(task_run_name="maps of {id}", cache_policy=NO_CACHE)
def render(id: str, images: int, store_url: str) -> str:
    """One run's picture; returns its path in the store."""
    from pipeline.runs import figures  # torch: seconds that rendered pictures need not cost

    return figures.render(open_store(store_url), id, images)


@flow(name="explain", flow_run_name="explain {request.study.value}", persist_result=False)
def explain(request: ExplainRequest) -> list[str]:
    """Render what is not there yet; returns the paths of the new pictures."""
    store = request.opened()
    standings = Progress(store, list(request.planned().experiments)).standings()
    done = [s.experiment.id for s in standings if s.state == "done"]
    missing = [id for id in done if not is_rendered(store, RunFolder(id), request.images)]
    return [render(id, request.images, store.url) for id in missing]
