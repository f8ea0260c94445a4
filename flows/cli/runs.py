"""What `strive plan` and `strive status` print of a study's runs: one by one or, where they are many, in groups."""

from collections import Counter
from collections.abc import Iterable

import typer

from flows.cli import layout
from flows.cli.hints import command
from pipeline.paper.networks import printed_name
from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import GPU_FLOPS_A_SECOND
from pipeline.plan.studies import Study
from pipeline.plan.words import duration
from pipeline.runtime.limits import cores
from pipeline.store.objects import Store
from pipeline.training.progress import RunStatus, seconds_left, trainable

LISTED = 40  # runs; more of them are grouped
NUMBERS = ("error %", "FLOP", "GPU time", "runs", "done", "failed", "to train", "not chosen")
FAILED = ("diverged", "dead", "crashed", "damaged")
AT_WORK = ("running", "stopped", *FAILED)  # shown one by one even where runs are grouped
WORDS = {"dead": "did not learn"}
Known = set[str]  # ids of the runs that can be trained now


def answer(store: Store, study: Study, statuses: list[RunStatus]) -> dict:
    """The runs as `--json` prints them, each with whether it can be trained now (`needed`)."""
    now = _trainable(study, statuses)
    runs = [{**s.plain(), "needed": s.experiment.id in now} for s in statuses]
    return {"study": study.name, "store": store.url, "runs": runs}


def plan(store: Store, study: Study, statuses: list[RunStatus], workers: int | None) -> tuple[dict, str]:
    """What `strive plan` prints as JSON, and its last lines: what the runs that are left will cost."""
    todo = trainable(study, statuses)
    count = workers or cores()
    plain = [s.plain() for s in todo]
    work, on_gpu = sum(run["flops"] for run in plain), sum(run["gpu_seconds"] for run in plain)
    left = seconds_left(todo, count)
    cost = {"flops_left": work, "seconds_left": round(left, 1), "gpu_seconds_left": on_gpu, "workers": count}
    if not todo:
        return answer(store, study, statuses) | cost, (
            "Every run that is needed has its outcome: reproducing this study will train nothing."
        )
    processes = "CPU process" if count == 1 else "CPU processes"
    lines = [
        f"{len(todo)} of {len(statuses)} runs to train: {quantity(work)}FLOP, about {duration(left)} "
        f"on {count} {processes}, or {duration(on_gpu)} on one GPU at {GPU_FLOPS_A_SECOND / 1e12:.0f} TFLOP/s.",
        "That is training alone: to start Ray and Prefect, to verify and to draw takes a minute or two more.",
    ]
    if later := sum(not s.has_outcome for s in statuses) - len(todo):
        lines.append(f"{later} more wait until learning rates are chosen; most of them will not be needed.")
    if sharded := dict.fromkeys(s.experiment.dataset.name for s in todo if s.experiment.dataset.shard):
        lines.append(f"Preparing and reading the images of {', '.join(sharded)} is not counted in these times.")
    return answer(store, study, statuses) | cost, "\n".join(lines)


def print_runs(study: Study, statuses: list[RunStatus], every: bool, cost: bool = False) -> None:
    """The study's question, then its runs; `cost` adds what each takes."""
    typer.echo(f"{study.name}: {study.question}\n")
    now = _trainable(study, statuses)
    if every or len(statuses) <= LISTED:
        return _print_each(statuses, now, cost)
    _print_groups(statuses, now, cost)
    if busy := [s for s in statuses if s.state in AT_WORK]:
        typer.echo()
        _print_each(busy, now, cost=False)
    typer.echo("\n`--all` lists every run with its id.")


def print_failed(store: Store, plain: Iterable[dict]) -> None:
    """Of each run that has no error to show, why, or what lets it be tried again."""
    for run in plain:
        if run["state"] == "damaged":
            typer.echo(f"damaged   {run['id']}: {run['why'][-1]}")
        elif run["state"] in FAILED:
            typer.echo(f"{run['state']:9} {run['id']}: {command(store, 'retry', run['id'])} lets it be tried again")


def summary(statuses: list[RunStatus], now: Known | None = None) -> str:
    """How many runs there are of each state: 3 done, 1 missing."""
    counts = Counter(_short(s, now) for s in statuses)
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def state_of(status: RunStatus) -> str:
    """A run's state in words, with how far it is."""
    if status.state == "stopped":
        return f"stopped after {how_far(status)}"
    if status.state == "running":
        return f"running, {how_far(status)} done{speed(status)}"
    return WORDS.get(status.state, status.state)


def how_far(status: RunStatus) -> str:
    """The epochs and images that lie behind, in words."""
    epochs, images = status.experiment.recipe.epochs, f"{status.images:,} of {status.epoch_images:,} images"
    if not status.images:
        return f"{status.epoch} of {epochs} epochs"
    return f"{images} of epoch {status.epoch + 1} of {epochs}"


def in_short(status: RunStatus) -> str:
    """The same, for a line of progress: 0/50, 34,816 of 50,000 images, 250 images/s."""
    images = f", {status.images:,} of {status.epoch_images:,} images" if status.images else ""
    return f"{status.epoch}/{status.experiment.recipe.epochs}{images}{speed(status)}"


def speed(status: RunStatus) -> str:
    return f", {status.images_per_second:,.0f} images/s" if status.images_per_second and status.images else ""


def goes_on(status: RunStatus) -> str:
    """What a stopped run is trained from."""
    return f"{status.experiment.id} goes on after {how_far(status)}"


def stage(experiment: Experiment) -> str:
    """What a run is for: choosing a learning rate by validation or by seed 0, or a further seed."""
    if experiment.dataset.name.endswith("-held-out"):
        return "validation"
    return "seed 0" if experiment.seed == 0 else "further seeds"


def quantity(number: float) -> str:
    """Three digits with a prefix, and a blank before a unit: 28.3 P."""
    for power, prefix in ((21, "Z"), (18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M")):
        if number >= 0.9995 * 10**power:  # 999.7 of the prefix below would be rounded to 1e+03
            return f"{number / 10**power:.3g} {prefix}"
    return f"{number:,.0f} "


def _trainable(study: Study, statuses: list[RunStatus]) -> Known:
    return {s.experiment.id for s in trainable(study, statuses)}


def _short(status: RunStatus, now: Known | None) -> str:
    if status.state == "missing" and now is not None and status.experiment.id not in now:
        return "not chosen"
    return WORDS.get(status.state, status.state)


def _print_each(statuses: Iterable[RunStatus], now: Known, cost: bool) -> None:
    typer.echo(each(statuses, now, cost))


def each(statuses: Iterable[RunStatus], now: Known | None = None, cost: bool = False) -> str:
    """A table with one row a run."""
    rows = []
    for s in statuses:
        run = s.plain()
        error = "" if s.error_percent is None else f"{s.error_percent:.2f}"
        state = "not chosen" if _short(s, now) == "not chosen" else state_of(s)
        note = run["why"][-1].splitlines()[0] if run["why"] else s.where or ""
        price = [f"{quantity(run['flops'])}".strip(), duration(run["gpu_seconds"])] if cost else ["", ""]
        rows.append([run["id"], state, error, *price, note])
    return layout.table(["run", "state", "error %", "FLOP", "GPU time", ""], rows, NUMBERS)


def _print_groups(statuses: list[RunStatus], now: Known, cost: bool) -> None:
    """One row a network, data set and stage; FLOP and time are of the runs to train."""
    groups: dict[tuple[str, str, str], list[RunStatus]] = {}
    for s in statuses:
        e = s.experiment
        data = f"{e.dataset.name.removesuffix('-held-out')}{', augmented' if e.augmented else ''}"
        groups.setdefault((e.network.name, data, stage(e)), []).append(s)
    several = len({data for _, data, _ in groups}) > 1
    rows = []
    for (network, data, what), members in groups.items():
        counts = Counter("failed" if s.state in FAILED else _short(s, now) for s in members)
        todo = [s.experiment.id in now for s in members]
        plain = [s.plain() for s, wanted in zip(members, todo, strict=True) if wanted]
        flops, on_gpu = sum(run["flops"] for run in plain), sum(run["gpu_seconds"] for run in plain)
        price = [quantity(flops).strip(), duration(on_gpu)] if cost and plain else ["", ""]
        numbers = [len(members), counts["done"], counts["failed"], len(plain), counts["not chosen"]]
        label = [f"{printed_name(network)}, {what}" + (f", {data}" if several else "")]
        rows.append([*label, *(str(n) if n else "" for n in numbers), *price])
    headings = ["network and stage", "runs", "done", "failed", "to train", "not chosen", "FLOP", "GPU time"]
    typer.echo(layout.table(headings, rows, NUMBERS))
