"""Flow `publish`: a study's results, verified -> its table."""

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.parameters import Request
from pipeline.runs import tables
from pipeline.runs.held import is_verified
from pipeline.runs.progress import Progress
from pipeline.runs.store import RunFolder, StudyFolder, open_store


@task(task_run_name="verify {id}", cache_policy=NO_CACHE)
def verify(id: str, store_url: str) -> None:
    """Evaluate the stored weights again; fails unless they make the errors that the run reported."""
    from pipeline.runs import job  # torch: seconds that verified runs need not cost

    job.verify(open_store(store_url), id)


@flow(name="publish", flow_run_name="publish {request.study.value}", persist_result=False)
def publish(request: Request) -> str:
    """Verify every finished run, then put the study's table into the store; returns the table as Markdown."""
    store, study = request.opened(), request.planned()
    standings = Progress(store, list(study.experiments)).standings()
    done = [s.experiment.id for s in standings if s.state == "done"]
    for id in done:
        if not is_verified(store, RunFolder(id)):
            verify(id, store.url)
    frame, _ = tables.publish(store, study)
    text, folder = tables.markdown(frame), StudyFolder(study.name)
    links = "\n".join(f"- `{store.where(folder.table(ending))}`" for ending in tables.FORMATS)
    create_table_artifact(frame.astype(object).where(frame.notna(), None).to_dict("records"), key=f"{study.name}-table")
    create_markdown_artifact(f"{text}\n\n{links}", key=f"{study.name}-results")
    return text
