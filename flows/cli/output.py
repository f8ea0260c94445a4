"""What the commands print, for people and, with --json, for programs. Keys of the JSON are kept stable."""

import json
import sys
from typing import Any

import typer

from flows.cli import layout, runs
from flows.cli.doctor import Check
from flows.cli.hints import command
from flows.cli.options import study_or_none
from pipeline.errors import StoreError
from pipeline.paper.layers import Conv, Dropout, Layer, Pool
from pipeline.paper.networks import NETWORKS, Network, printed_name
from pipeline.paper.published_errors import CONTRADICTIONS, PUBLISHED_ERRORS, Contradiction, printed_parameters
from pipeline.paper.shapes import parameters, steps, training_flops
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import Study
from pipeline.plan.studies import study as study_named
from pipeline.store.objects import Store
from pipeline.training.progress import Progress, RunStatus, trainable

NOT_LEARNED = "--preprocess scale, a smaller --learning-rate or more --epochs may help (docs/own-data.md)"


def print_answer(value: Any, text: str, as_json: bool) -> None:
    """Print `value` as JSON, or `text`."""
    typer.echo(json.dumps(value, indent=2, sort_keys=True) if as_json else text)


def status_of(store: Store, experiment: Experiment) -> RunStatus:
    return Progress(store, [experiment]).statuses()[0]


def plan(store: Store, study: Study, workers: int | None, every: bool, as_json: bool) -> None:
    """The runs, their states, and the cost of those to train."""
    statuses = Progress(store, list(study.wanted)).statuses()
    value, last = runs.plan(store, study, statuses, workers)
    if as_json:
        return print_answer(value, "", True)
    runs.print_runs(study, statuses, every, cost=True)
    typer.echo(f"\n{last}")


def status(store: Store, what: str | None, seeds: int | None, every: bool, as_json: bool) -> None:
    """Of a study, by its name or file, its runs, their states, and what came out; of a run the same; else of all."""
    from flows.cli import store_overview

    if what is None:
        return print_answer(*store_overview.overview(store), as_json)
    if (name := study_or_none(what)) is None:
        one = status_of(store, store_overview.run_named(store, what))
        return print_answer({"store": store.url, **one.plain()}, runs.each([one]), as_json)
    study = study_named(name, seeds)
    statuses = Progress(store, list(study.wanted)).statuses()
    if as_json:
        return print_answer(runs.answer(store, study, statuses), "", True)
    runs.print_runs(study, statuses, every)
    typer.echo(f"\n{runs.summary(statuses)}")


def networks(chosen: list[Network], as_json: bool, each: bool = False) -> None:
    """A network as the paper's table, or the list of several, or, with `each`, a table for each."""
    if as_json:
        return print_answer([_network(network) for network in chosen], "", True)
    if len(chosen) == 1 or each:
        for at, network in enumerate(chosen):
            typer.echo(nl=at > 0)
            _print_network(network)
        return
    rows = []
    for network in chosen:
        printed = printed_parameters(network.name) + (" !" if _contradictions(network) else "")
        flops = f"{training_flops(network) / 1e6:,.0f}"
        rows.append([printed_name(network.name), str(len(network.convs)), f"{parameters(network):,}", printed, flops])
    headings = ["network", "convs", "parameters", "paper", "MFLOP/image"]
    typer.echo(layout.table(headings, rows, headings[1:]))
    typer.echo("MFLOP/image: floating-point operations of one training step, in millions, for each image.")
    for contradiction in dict.fromkeys(c for network in chosen for c in _contradictions(network)):
        typer.echo(f"! {contradiction.what}.")


def _contradictions(network: Network) -> list[Contradiction]:
    return [c for c in CONTRADICTIONS if network.name in c.networks]


def _print_network(network: Network) -> None:
    rows = []
    for step in steps(network):
        shape = f"{step.channels} x {step.side} x {step.side}"
        rows.append([words(step.layer), shape, f"{step.parameters:,}" if step.parameters else ""])
    side = steps(network)[-1].side
    rows.append([f"average over {side}x{side}, softmax", f"{network.classes}", ""])
    rows.append(["", "total", f"{parameters(network):,}"])
    ours = NETWORKS.get(network.name) != network  # not the paper's own, but a variant
    if (printed := printed_parameters(network.name)) and not ours:
        rows.append(["", "the paper prints", printed])
    typer.echo(f"{printed_name(network.name)}, {network.side}x{network.side} RGB\n")
    typer.echo(layout.table(["layer", "output", "parameters"], rows, ["output", "parameters"]))
    for contradiction in () if ours else _contradictions(network):
        typer.echo(f"! {contradiction.what}.")


def words(layer: Layer) -> str:
    """A layer as the paper's tables write it."""
    match layer:
        case Conv():
            stride = f", stride {layer.stride}" if layer.stride > 1 else ""
            pad = ", unpadded" if layer.size > 1 and layer.padding == 0 else ""
            return f"{layer.size}x{layer.size} conv. {layer.width}{_rectifier(layer)}{stride}{pad}"
        case Pool():
            return f"{layer.size}x{layer.size} max-pooling, stride {layer.stride}"
        case Dropout():
            return f"dropout {layer.p:.0%}"


def _rectifier(conv: Conv) -> str:
    if not conv.relu:
        return ""
    return f" leaky ReLU {conv.slope:.2g}" if conv.slope else " ReLU"


def _network(network: Network) -> dict:
    layers = [
        {"layer": words(s.layer), "channels": s.channels, "side": s.side, "parameters": s.parameters}
        for s in steps(network)
    ]
    claim = next((c for c in PUBLISHED_ERRORS if c.network == network.name), None)
    return {
        "name": network.name,
        "layers": layers,
        "parameters": parameters(network),
        "paper_parameters": claim.parameters if claim else None,
        "contradictions": [c.what for c in _contradictions(network)],
        "training_flops_per_image": training_flops(network),
    }


def print_reproduction(store: Store, study: Study, summary: dict, quiet: bool, as_json: bool) -> None:
    """The table and where everything lies."""
    if as_json:
        return print_answer({k: v for k, v in summary.items() if k != "markdown"}, "", True)
    if quiet:
        return None
    table = summary["markdown"].strip()
    typer.echo(f"{layout.markdown(table) if sys.stdout.isatty() else table}\n")
    if not study.comparable:
        at = f": {study.scale}" if study.scale else ""
        typer.echo(
            f"This study is {study.relation}{at}: the paper's numbers are for orientation, not for comparison.\n"
        )
    typer.echo(f"report    {summary['report']}")
    if summary["store"].startswith("s3://"):
        typer.echo(f"          to read it: {command(store, 'pull', study.on_command_line, 'here')}")
    typer.echo(f"table     {summary['table']['md']} (.csv, .json, .parquet, .tex, .html; claims.*, rates.*)")
    if summary["figures"]:
        typer.echo(f"gallery   {summary['gallery']}")
    typer.echo(f"runs      {summary['store']}/runs")
    for found in summary["replicated"]:
        typer.echo(f"again     {found['run']}: {found['comparison']}: {found['why']}")
    runs.print_failed(store, summary["runs"])


def print_figures(summary: dict, as_json: bool) -> None:
    """How many pictures, how fast, and where they are."""
    done = summary["rendered"]
    lines = [f"{done['sheets']} sheets drawn, the others were there"]
    if done["maps"]:
        rate = f"{done['maps_per_second']:,} a second, {done['maps_per_cpu_second']:,} a CPU-second"
        lines[0] = f"{done['sheets']} sheets drawn with {done['maps']:,} maps: {rate}"
    lines += [f"pictures  {summary['store']}/runs/{run['run']}/figures" for run in summary["runs"]]
    lines += [f"gallery   {summary['gallery']}"] if "gallery" in summary else []
    print_answer(summary, "\n".join(lines), as_json)


def print_maps(notes: list[dict[str, Any]], as_json: bool) -> None:
    """What each image was taken for, and where its maps are."""
    for note in notes:
        if note["blank"]:
            typer.echo(
                f"strive: {note['image']}: all class scores are equal, so its maps are zero: {NOT_LEARNED}", err=True
            )
    rows = [[n["image"], n["name"], f"{n['share']:.0%}", n["pictures"]["strip"]] for n in notes]
    shown = layout.table(["image", "predicted", "share", "image and maps"], rows, ["share"])
    print_answer({"maps": notes}, f"{shown}\nBeside them each map alone as PNG and .npy, and a note as .json.", as_json)


def print_run(standing: RunStatus, store: Store, as_json: bool) -> None:
    from pipeline.evaluation.results import Run  # scipy, after a training

    result = standing.result
    if result and result.outcome == "done":
        text = f"{standing.experiment.id}: {result.error_percent:.2f} % error ({result.wrong} of {result.seen})"
        if Run(standing.experiment, result).at_chance:
            text += f", no better than guessing: {NOT_LEARNED}"
    else:
        text = f"{standing.experiment.id}: {runs.state_of(standing)}"
        text += f": {NOT_LEARNED}" if standing.state in ("dead", "diverged") else ""
    print_answer({"store": store.url, **standing.plain()}, text, as_json)


def print_checks(checks: list[Check], as_json: bool) -> None:
    lines = [f"{c.state:4} {c.name:8} {c.found}" + (f"\n     -> {c.fix}" if c.fix else "") for c in checks]
    print_answer({"checks": [c.plain() for c in checks]}, "\n".join(lines), as_json)


def _fleet_line(fleet: dict) -> str:
    return (
        f"fleet on Ray: scaling efficiency {fleet['efficiency']:.2f} (1: {fleet['workers']} workers train "
        f"{fleet['workers']} times as fast as one); first run after {fleet['seconds_to_first_claim']:.0f} s; "
        f"{fleet['share_of_cpu_time_in_workers']:.0%} of the CPU time used by workers"
    )


def kept(store: Store, study: Study) -> str:
    """How many runs have their outcome or a checkpoint, after an interruption."""
    try:
        statuses = Progress(store.within(0), list(study.wanted)).statuses()
    except StoreError as error:
        return f"What was finished is kept in {store.url}, which cannot be read now: {error}"
    done, saved = sum(s.has_outcome for s in statuses), sum(s.state == "stopped" for s in statuses)
    known = done + len(trainable(study, statuses))
    checkpoints = f", {saved} a checkpoint" if saved else ""
    return (
        f"{done} of {known} runs have their outcome{checkpoints} in {store.url}; the same command goes on from there."
    )


def print_bench(found: dict, as_json: bool) -> None:
    """The end of the report: everything but the training steps, whose lines were printed while they were measured."""
    around, zca, fleet = found["around"], found["zca"], found.get("fleet")
    parts = [
        "\ntimes as fast as the plain loop: "
        + ", ".join(f"{ratio:.2f} at width {width}" for width, ratio in found["ratio"].items()),
        f"share of an All-CNN-C run's time: loading images {found['data_share']:.1%}, "
        f"evaluation {around['evaluation_share']:.1%}, checkpoints {around['checkpoint_share']:.1%}",
        f"first training step: {around['first_step_seconds']:.2f} s",
        "imports: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found["imports"].items()),
        *([f"fitting ZCA whitening to {zca['images']:,} images: {zca['fit_seconds']:.1f} s"] if zca else []),
        *([_fleet_line(fleet)] if fleet else []),
        f"peak memory: {found['memory']['peak_bytes'] / 2**30:.2f} GiB",
        *(f"not tested without a GPU: {line}" for line in found["unrun"]),
        f"\nsaved in {found['address']}",
    ]
    print_answer(found, "\n".join(parts), as_json)
