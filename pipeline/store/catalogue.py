"""Every run there is a name for: those of the studies, and those that the store holds."""

from difflib import get_close_matches

from pipeline.errors import UserError, unknown_name
from pipeline.plan.experiment import Experiment, experiment
from pipeline.plan.studies import every_study, study
from pipeline.records.published import Edition, StudyManifest
from pipeline.records.record import DamagedRecord
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder, StudyFolder

FIX = "`strive check STUDY --repair` writes it again."
NAMED = 5  # ids that a message lists
SEEDS = 10  # of every study; a run with a higher seed is found once the store holds it


def find(store: Store, text: str) -> Experiment:
    """The experiment whose id is `text`; else the one that alone begins so, in the store or else in the studies."""
    if not text:
        raise UserError("a run's name is empty: `strive status` lists the runs of the store")
    if store.exists(RunFolder(text).experiment):
        return read_experiment(store, text)
    studies = every_study()
    planned = {e.id: e for make in studies.values() for e in make(SEEDS).experiments}
    if text in planned:
        return planned[text]
    if len(kept := _kept(store, text)) == 1:  # one that is there goes before those that only could be
        return read_experiment(store, kept[0])
    begin = kept or [id for id in planned if id.startswith(text)]
    if len(begin) == 1:
        return planned[begin[0]]
    if begin:
        more = f" and {len(begin) - NAMED} more" if len(begin) > NAMED else ""
        raise UserError(f"{text!r} begins several run ids, {', '.join(begin[:NAMED])}{more}: write more of it")
    if near := get_close_matches(text, ids(store), n=3, cutoff=0.6):
        raise unknown_name("run", text, near)
    name = text if text in studies else "STUDY"
    listed = f"`strive plan {name}` lists the runs of a study, `strive status` those of the store."
    raise unknown_name("run", text, (), listed)


def ids(store: Store) -> set[str]:
    """The ids of all runs that the store holds, begun or finished."""
    names = [name.split("/") for name in store.names("runs")]
    return {parts[0] for parts in names if parts[1:] == ["experiment.json"] or parts[1:2] == ["claims"]}


def readable(store: Store, id: str) -> Experiment | None:
    """The run of exactly this id; None where neither the store nor a study has what it is."""
    try:
        return find(store, id)
    except UserError:
        return None


def read_experiment(store: Store, id: str) -> Experiment:
    """The experiment of a run that the store holds; FileNotFoundError where it holds none, DamagedRecord where the
    object does not describe this run."""
    path = RunFolder(id).experiment
    plain, address = store.read_json(path), store.url_of(path)
    try:
        found = experiment(plain)
        same = found.id == id
    except UserError as error:
        raise DamagedRecord(f"{address}: {error}. {FIX}") from error
    except Exception as error:  # values of the wrong kind, as its id is made of them
        raise DamagedRecord(f"{address} is damaged: it describes no run ({type(error).__name__}). {FIX}") from error
    if not same:
        raise DamagedRecord(f"{address} is damaged: it describes the run {found.id}. {FIX}")
    return found


def published_seeds(store: Store, name: str) -> int | None:
    """As many seeds as the study's published tables have; None where there are none."""
    try:
        found = store.find_record(StudyManifest, StudyFolder(name).manifest)
    except DamagedRecord:  # `strive check` says so; its edition holds another
        edition = store.find_record(Edition, StudyFolder(name).latest)
        found = edition and store.find_record(StudyManifest, StudyFolder(name).edition(edition.digest, "manifest.json"))
    listed = found.runs if found else ()
    return max((1 + int(id.rsplit(".", 2)[1].removeprefix("s")) for id in listed), default=None)


def seeds_to_plan(store: Store, name: str, seeds: int | None) -> int | None:
    """The number of seeds to reproduce a study with: what is asked for, else as many as the study asks for itself, or
    as its published tables have, where those are more. None: as the study asks for."""
    if seeds is None and (published := published_seeds(store, name)):
        own = 1 + max(e.seed for e in study(name).experiments)
        return published if published > own else None
    return seeds


def _kept(store: Store, text: str) -> list[str]:
    """The ids of the store's runs that begin with `text`."""
    noted = [name.split("/") for name in store.names("runs") if name.startswith(text)]
    return [parts[0] for parts in noted if parts[1:] == ["experiment.json"]]
