"""A study's check, and its repair."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.integrity.data import data_faults
from pipeline.integrity.fault import Fault
from pipeline.integrity.figures import figure_faults
from pipeline.integrity.listing import listing_faults
from pipeline.integrity.published import published_faults
from pipeline.integrity.runs import run_faults
from pipeline.integrity.weights import were_left_behind
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import Study
from pipeline.publication import pull
from pipeline.publication.turn import is_held
from pipeline.records.record import DamagedRecord
from pipeline.records.result import Result
from pipeline.store import standings
from pipeline.store.objects import AT_ONCE, Store, sha256
from pipeline.store.paths import DatasetFolder, RunFolder, StudyFolder
from pipeline.training.attempts import attempts, end_attempt
from pipeline.visualization.catalogue import runs_of


@dataclass(frozen=True)
class Checked:
    """What a check has found."""

    objects: int  # that were looked at
    faults: tuple[Fault, ...]
    notes: tuple[str, ...] = ()  # what is worth knowing and no fault


def check(store: Store, study: Study, whole: bool = True) -> Checked:
    """Look at every object that the study rests on. Unless `whole`, what is large is judged by its length alone."""
    experiments = list(dict.fromkeys([*study.read, *runs_of(study)]))
    kinds = dict.fromkeys((e.dataset, e.recipe.preprocess) for e in experiments)
    try:
        listed = pull.listed(store, study.name) or {}
    except DamagedRecord:  # a fault of its own
        listed = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        data = [*pool.map(lambda kind: list(data_faults(store, kind[0], kind[1], whole)), kinds)]
        runs = [*pool.map(lambda e: _run(store, e, listed, whole), experiments)]
    faults = [f for found in data for f in found] + [f for run in runs for f in run.faults]
    faults += listing_faults(store, experiments)
    publishing = is_held(store, study.name)  # what is being written just now is no damage
    faults += [] if publishing else published_faults(store, study.name, whole)
    objects = sum(run.objects for run in runs) + len(store.names(StudyFolder(study.name).top))
    objects += sum(len(store.names(DatasetFolder(kind[0], kind[1]).top)) for kind in kinds)
    by_address = {fault.address: fault for fault in reversed(faults)}  # the first that was said of an object
    notes = _counted(note for run in runs for note in run.notes)
    notes += ("its tables and pages are being published just now, and were not checked",) if publishing else ()
    return Checked(objects, tuple(reversed(by_address.values())), notes)


def repair(store: Store, faults: Iterable[Fault]) -> None:
    """Fix what loses nothing: derived objects go, so that `strive reproduce` makes them again; what training computed
    is set aside in the folder `damaged`, and its run can be trained again."""
    for fault in faults:
        for path, data in fault.write.items():
            store.write(path, data)
        if fault.again:  # before its result goes
            standings.reopen(store, fault.again, attempts(store, RunFolder(fault.again)).last)
        for path in fault.aside:
            if (data := store.find(path)) is not None:
                store.write(_aside(path), data)
                store.delete(path)
        for path in fault.remove:
            store.delete(path)
        if fault.again:
            _offer(store, RunFolder(fault.again), fault)


def _aside(path: str) -> str:
    """runs/<id>/result.json -> runs/<id>/damaged/result.json"""
    room, name, rest = path.split("/", 2)
    return f"{room}/{name}/damaged/{rest}"


def _offer(store: Store, run: RunFolder, fault: Fault) -> None:
    """End the attempt that had finished, so that the next begins at once."""
    found = attempts(store, run)
    if found.open:
        end_attempt(store, run, found.last, "settled", f"{fault.address}: {fault.what}")


def _run(store: Store, this: Experiment, listed: pull.Entries, whole: bool) -> Checked:
    run = RunFolder(this.id)
    sizes = {name: size for name, size in store.sizes(run.top).items() if not name.startswith("damaged/")}
    if not sizes:
        return Checked(0, ())
    found = [*run_faults(store, this, sizes, whole), *figure_faults(store, run, sizes, listed, whole)]
    return Checked(len(sizes), tuple(found), () if found else tuple(_notes(store, this, sizes)))


def _notes(store: Store, this: Experiment, sizes: dict[str, int]) -> Iterable[str]:
    run = RunFolder(this.id)
    result = store.find_record(Result, run.result)
    if result is None or not result.is_measured:
        return
    left = run.weights_of(result).removeprefix(f"{run.top}/") not in sizes and were_left_behind(run, result, sizes)
    if left:
        kept = "rounded to float16" if "model.float16.safetensors" in sizes else "not kept in this store"
        yield f"weights are {kept}"
    elif result.outcome == "done" and "evaluation.json" not in sizes:
        yield "weights were not evaluated again yet"
    manifest = store.find(DatasetFolder(this.dataset, this.recipe.preprocess).manifest)
    if manifest is not None and result.digests.dataset not in ("", sha256(manifest)):
        yield "the data were prepared anew after the training, or elsewhere: they differ by rounding at most"


def _counted(notes: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, int] = {}
    for note in notes:
        found[note] = found.get(note, 0) + 1
    return tuple(f"{count} {'run' if count == 1 else 'runs'}: {note}" for note, count in found.items())
