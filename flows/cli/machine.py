"""The commands about this machine: how fast it trains, and whether it has what the other commands need."""

from typing import Annotated

import typer

from flows.cli import output
from flows.cli.answers import answered
from flows.cli.options import DataDirOption, JsonOption, StoreOption, patiently, store_of
from pipeline.errors import UserError


@answered
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer networks and fewer repeats, for a first look.")] = False,
    requests: Annotated[
        str | None,
        typer.Option(
            metavar="WORKERSxRUNS",
            help="Instead: simulate a fleet of WORKERS on a study of RUNS, and count its requests to the store.",
        ),
    ] = None,
    throttled: Annotated[
        bool,
        typer.Option("--throttled", help="With --requests: the store refuses requests beyond Amazon S3's limits."),
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure this machine's training speed, compared with a plain PyTorch loop, and the time of everything else."""
    if throttled and not requests:
        raise UserError("--throttled needs a simulated fleet: add --requests 100x1000, or leave it out")
    if requests:
        from pipeline.bench import fleet_requests

        simulated = fleet_requests.measure(*fleet_requests.size(requests), throttled)
        return output.print_answer(simulated, "\n".join(fleet_requests.lines(simulated)), as_json)
    opened = store_of(store)
    from flows.cli.doctor import insist
    from pipeline.bench.measure import measure

    insist(store, None)  # before minutes of measurements that could not be saved
    found = measure(patiently(opened), quick, lambda line: typer.echo(line, err=as_json))
    output.print_bench(found, as_json)


@answered
def doctor(store: StoreOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Check whether this machine has what the other commands need, and say how to fix what is missing."""
    from flows.cli.doctor import examine_all

    checks = examine_all(store, data_dir)
    output.print_checks(checks, as_json)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
