"""`strive check`: whether what a study rests on is what was written, and the repair of what is not."""

from typing import Annotated

import typer

from flows.cli import completion, output
from flows.cli.answers import answered
from flows.cli.hints import command
from flows.cli.options import JsonOption, PublishedSeedsOption, StoreOption, study_name
from pipeline.errors import UserError
from pipeline.integrity.check import Checked, repair
from pipeline.integrity.check import check as check_study
from pipeline.integrity.fault import Fault
from pipeline.plan.studies import every_study, study
from pipeline.plan.study import Study
from pipeline.runtime.settings import settings
from pipeline.store.catalogue import published_seeds
from pipeline.store.objects import Store, open_store

OptionalStudy = Annotated[
    str | None,
    typer.Argument(metavar="STUDY", callback=study_name, autocompletion=completion.studies,
                   help="The study; leave it out for every study of which the store holds a run."),
]  # fmt: skip


@answered
def check(
    name: OptionalStudy = None,
    fix: Annotated[
        bool,
        typer.Option("--repair", help="Fix what can be fixed without loss; `strive reproduce` then does the rest."),
    ] = False,
    seeds: PublishedSeedsOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read every object that a study rests on, and say for each fault what it is, what it means and what fixes it.

    Exit code 1 while a fault remains.
    """
    opened = open_store(settings(store).store)
    answers: list[tuple[Study, Checked, tuple[Fault, ...]]] = []
    for chosen in _chosen(opened, name, seeds):
        found = check_study(opened, chosen)
        fixed = [fault for fault in found.faults if fix and fault.can_be_fixed]
        repair(opened, fixed)
        left = tuple(f for f in check_study(opened, chosen).faults if not f.is_made_again) if fixed else found.faults
        answers.append((chosen, found, left))
    value = {"store": opened.url, "studies": [_plain(one, found, left, fix) for one, found, left in answers]}
    output.print_answer(
        value, "\n\n".join(_text(opened, one, found, left, fix) for one, found, left in answers), as_json
    )
    if any(left for _, _, left in answers):
        raise typer.Exit(1)


def lines(fault: Fault) -> str:
    """A fault as people read it."""
    return f"{fault.address}: {fault.what}\n    means: {fault.means}\n    fix:  {fault.fix}"


def _chosen(store: Store, name: str | None, seeds: int | None) -> list[Study]:
    if name:
        return [study(name, published_seeds(store, name) if seeds is None else seeds)]
    there = {path.split("/")[0] for path in store.names("runs")}
    known = [study(n, published_seeds(store, n) if seeds is None else seeds) for n in every_study() if n != "all"]
    found = [each for each in known if any(e.id in there for e in each.wanted)]
    if not found:
        raise UserError(f"{store.url} holds no run of a study that is known here: name another with --store")
    return found


def _text(store: Store, chosen: Study, found: Checked, left: tuple[Fault, ...], fixed: bool) -> str:
    makes = command(store, "reproduce", chosen.on_command_line)
    if not found.objects and not found.faults:
        return f"{chosen.name}: nothing of it is there; {makes} makes it."
    said = [lines(fault) for fault in found.faults]
    said += [f"note: {note}" for note in found.notes]
    faults = f"{len(found.faults)} {'fault' if len(found.faults) == 1 else 'faults'}" if found.faults else "whole"
    said.append(f"{chosen.name}: {found.objects:,} objects read, {faults}")
    if found.faults and not fixed:
        fixes = command(store, "check", chosen.on_command_line, "--repair")
        said.append(f"{fixes} fixes what can be fixed without loss.")
    if found.faults and fixed:
        remain = f"{len(left)} {'remains' if len(left) == 1 else 'remain'}: their fixes are above"
        said.append(f"repaired what can be, {remain}." if left else f"repaired: {makes} makes the study whole again.")
    return "\n".join(said)


def _plain(chosen: Study, found: Checked, left: tuple[Fault, ...], fixed: bool) -> dict:
    return {
        "study": chosen.name,
        "objects": found.objects,
        "faults": [fault.plain() for fault in found.faults],
        "left": [fault.plain() for fault in left],
        "notes": list(found.notes),
        "repaired": fixed,
    }
