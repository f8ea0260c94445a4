"""What a study is: experiments with a question, and the numbers and claims they are held against."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from pipeline.errors import UserError, unknown_name
from pipeline.paper.claims import CLAIMS, Claim
from pipeline.paper.published_errors import PublishedError
from pipeline.plan.experiment import Experiment


class Relation(StrEnum):
    """What a study's numbers have to do with the paper's."""

    PAPER = "the paper's task"
    SMALLER = "the paper's task at a smaller scale"  # networks can be compared with each other, errors not with print
    OTHER = "another task than the paper's"
    OWN = "a study of your own"  # with the numbers and claims that its file names, if any


@dataclass(frozen=True)
class Study:
    """A name, what it asks, and every run that may answer it; schedule.py says which of them are worth training."""

    name: str
    question: str
    experiments: tuple[Experiment, ...]
    published_errors: tuple[PublishedError, ...] = ()
    relation: Relation = Relation.OTHER
    scale: str = ""  # of a study at a smaller scale, in words
    search: tuple[Experiment, ...] = ()  # the runs on held-out images that choose a learning rate
    tuned_on: tuple[Experiment, ...] = ()  # the runs whose test errors choose it; none: the study's own with seed 0
    parts: tuple["Study", ...] = ()  # the studies that this one gathers
    every_run: bool = False  # all experiments are wanted, in their order, and no learning rate is chosen
    read_also: tuple[
        "Study", ...
    ] = ()  # other studies whose results its claims are held against; it trains none of them
    own_claims: tuple[Claim, ...] | None = None  # None: the paper's, unless the study is of another task
    file: str = ""  # the name of the Python file that the study is from; "" for ours
    place: str = ""  # that file with its folders, and :NAME where it has several studies

    @property
    def comparable(self) -> bool:
        """Whether the numbers in print beside this study were measured on its task."""
        return self.relation in (Relation.PAPER, Relation.OWN)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The sentences that its runs decide."""
        if self.own_claims is not None:
            return self.own_claims
        return () if self.relation is Relation.OTHER else CLAIMS

    @property
    def answering_parts(self) -> tuple["Study", ...]:
        """Its parts, or itself; parts whose runs only choose the learning rates of other parts are left out."""
        searched = {e for part in self.parts for e in part.search}
        return tuple(part for part in self.parts if not searched.issuperset(part.experiments)) or (self,)

    @property
    def on_command_line(self) -> str:
        """What a command takes for it, typed here."""
        here = f"{Path.cwd()}{os.sep}"
        return self.place.removeprefix(here) or self.name

    @property
    def wanted(self) -> tuple[Experiment, ...]:
        """Every run that may be trained for it, those that only choose a rate included."""
        every = [*self.experiments, *self.tuned_on, *self.search, *(e for part in self.parts for e in part.wanted)]
        return tuple(dict.fromkeys(every))

    @property
    def read(self) -> tuple[Experiment, ...]:
        """Every run whose result may stand in its tables: those wanted, and those of the studies beside it."""
        return tuple(dict.fromkeys([*self.wanted, *(e for other in self.read_also for e in other.wanted)]))


def part_of(
    whole: Study, network: str | None = None, learning_rate: float | None = None, validation: bool = True
) -> Study:
    """The runs of one network or all, at one learning rate or all, with or without the search on validation images.

    UserError if there are none.
    """
    if network is not None:
        names = {e.network.name for e in whole.experiments}
        if network not in names:
            raise unknown_name(f"network of {whole.name}", network, names)
        whole = only(whole, [network])
    if learning_rate is not None:
        rates = {e.recipe.lr for e in whole.experiments}
        if learning_rate not in rates:
            known = ", ".join(f"{lr:g}" for lr in sorted(rates))
            raise UserError(f"no run of {whole.name} has the learning rate {learning_rate:g}: choose {known}")
        at = [tuple(e for e in runs if e.recipe.lr == learning_rate) for runs in (whole.experiments, whole.search)]
        whole = replace(whole, experiments=at[0], search=at[1])
    return whole if validation else replace(whole, search=())


def only(whole: Study, networks: list[str]) -> Study:
    """What a study says of these networks."""
    return replace(
        whole,
        experiments=runs_of_networks(networks, whole.experiments),
        published_errors=tuple(claim for claim in whole.published_errors if claim.network in networks),
        search=runs_of_networks(networks, whole.search),
    )


def runs_of_networks(networks: list[str], experiments: Iterable[Experiment]) -> tuple[Experiment, ...]:
    return tuple(e for e in experiments if e.network.name in networks)
