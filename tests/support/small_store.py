"""A study that is reproduced without Ray and Prefect, by the same steps as the flows: what damage is tried on."""

from pipeline.data import prepare
from pipeline.evaluation.proofs import to_verify
from pipeline.evaluation.results import collect
from pipeline.evaluation.verify import verify
from pipeline.plan.schedule import needed
from pipeline.plan.studies import study
from pipeline.publication.publish import publish
from pipeline.store.objects import Store
from pipeline.store.paths import DatasetFolder, RunFolder
from pipeline.training import job, leases
from pipeline.training.owners import LeaseObserver, this_process
from pipeline.visualization import gallery, render
from pipeline.visualization.catalogue import RenderRequest, runs_of

SMOKE = study("smoke")
DATA = DatasetFolder(SMOKE.experiments[0].dataset, SMOKE.experiments[0].recipe.preprocess)
PICTURES = RenderRequest(images=2, channels=1, top=2, sanity=1, methods=("guided",), kinds=("patterns", "maps"))


def reproduce(store: Store, price: float | None = None) -> None:
    """Prepare, train, verify, draw and publish what is missing."""
    prepare.load.cache_clear()
    for e in SMOKE.experiments:
        prepare.make(store, e.dataset, e.recipe.preprocess)
    owner, watch = this_process(), LeaseObserver(store)
    while missing := needed(SMOKE, collect(store, SMOKE.wanted)):
        held, _ = leases.acquire(store, missing, 1, owner, watch)
        job.run(held, store, checkpoint_seconds=0)
    for id in to_verify(store, collect(store, SMOKE.read)):
        verify(store, id)
    render.render_here(store, render.to_draw(store, render.explained(store, SMOKE), PICTURES))
    gallery.publish_gallery(store, SMOKE.name, runs_of(SMOKE))
    publish(store, SMOKE, price)


def numbers(store: Store) -> dict[str, tuple]:
    """What must come out the same, by run."""
    found = {id: result for id, result in collect(store, SMOKE.wanted).items() if result.outcome == "done"}
    return {id: (r.wrong, r.seen, r.train_loss, r.digests.model, r.digests.dataset) for id, r in found.items()}


def objects(store: Store) -> list[str]:
    """Every object that the study rests on; of a run those of one suffice, beside its neighbor."""
    first = RunFolder(SMOKE.experiments[0].id).top
    names = [name for name in store.names("") if name.startswith((f"{first}/", "datasets/", "studies/"))]
    return [name for name in names if "/claims/" not in name]
