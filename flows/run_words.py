"""How runs go, in the words of their tasks' logs and the states of Prefect."""

from collections.abc import Sequence

from prefect.client.schemas.objects import State
from prefect.states import Completed, Crashed, Failed

from pipeline.errors import StoreError
from pipeline.plan.words import duration
from pipeline.records.result import error_percent
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.training import history
from pipeline.training.progress import RunStatus


def line_of(store: Store, status: RunStatus) -> str:
    """How a run goes, as far as its last checkpoint tells."""
    this, epochs = status.experiment, status.experiment.recipe.epochs
    if status.state != "running":
        return f"{this.id} is {status.state}"
    begin = f"{status.where}, attempt {status.attempt}: epoch {status.epoch} of {epochs}"
    if not status.epoch:
        return f"{begin}, on {this.dataset.train:,} images of {this.dataset.name}"
    pace = f", {duration(status.epoch_seconds)} an epoch" if status.epoch_seconds else ""
    try:
        rows = history.find(store, RunFolder(this.id), status.attempt)
    except StoreError:
        rows = []
    if not rows:
        return f"{begin}{pace}"
    last = rows[-1]
    tested = [row for row in rows if row.test_wrong is not None and row.test_seen]
    error = f", test error {error_percent(tested[-1].test_wrong, tested[-1].test_seen):.2f} %" if tested else ""
    saved = f"; checkpoint after {len(rows)}: training loss {last.train_loss:.4f}{error}, learning rate {last.lr:g}"
    return f"{begin}{pace}{saved}"


def counts(found: Sequence[RunStatus], planned: int) -> str:
    """How many of a group of runs have ended, how, and with which error in the mean."""
    ended = [s for s in found if s.has_outcome]
    states = {state: sum(s.state == state for s in ended) for state in dict.fromkeys(s.state for s in ended)}
    words = ", ".join(f"{count} {state}" for state, count in states.items())
    errors = [s.error_percent for s in ended if s.error_percent is not None]
    mean = f", mean error {sum(errors) / len(errors):.2f} %" if errors else ""
    return f"{len(ended)} of {planned} ended{f': {words}' if words else ''}{mean}"


def final_state(status: RunStatus) -> State:
    """The state that an outcome gives a task."""
    id, result = status.experiment.id, status.result
    assert result is not None, "a run with an outcome has its result"
    if status.state == "diverged":
        return Failed(name="Diverged", message=f"{id}: the loss was not finite in epoch {result.epochs - 1}")
    if status.state == "dead":
        return Failed(name="DidNotLearn", message=f"{id}: {result.why[-1]}")
    if status.state == "damaged":
        return Failed(name="Damaged", message=f"{id}: {result.why[-1]}")
    if status.state == "crashed":
        return Crashed(message=f"{id}: {result.why[-1]}")
    return Completed(message=f"{id}: {result.wrong} wrong of {result.seen}, {result.error_percent:.2f} %")
