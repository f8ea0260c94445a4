"""A study of your own, as a Python file says it: networks, data, recipes, and the sentences that the runs decide."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import Any

from pipeline.errors import UserError, known_name
from pipeline.paper.claims import Claim, Comparison, PrintedError, Setting
from pipeline.paper.layers import Layer
from pipeline.paper.networks import Network, find_network, printed_name
from pipeline.paper.published_errors import PublishedError
from pipeline.paper.recipes import Recipe
from pipeline.plan.datasets import DATASETS, Dataset
from pipeline.plan.experiment import Experiment
from pipeline.plan.own_claims import Difference, Printed
from pipeline.plan.schedule import Cell, cell
from pipeline.plan.study import Relation, Study
from pipeline.plan.usual import at_width as network_at_width
from pipeline.plan.usual import fitted, share, usual_recipe

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # ids and paths are made of names


def checked_name(what: str, name: str) -> str:
    """The name; UserError where it could not stand in an id or a path."""
    if not NAME.fullmatch(name) or len(name) > 60:
        raise UserError(f"{what} {name!r} must be at most 60 small letters and digits, joined by single hyphens")
    return name


def named(network: Network, name: str) -> Network:
    """The same network under another name: a row of the tables is a name."""
    return replace(network, name=checked_name("the network's name", name))


def at_width(network: Network | str, width: str | float, data: Dataset | str = "cifar10") -> Network:
    """The network at a share of its width, "1/2", with the dropout that the data set's studies have."""
    return network_at_width(_network(network), _dataset(data), share(str(width)))


MOST_SEEDS = 100
KINDS: dict[str, tuple[tuple[type, ...], str]] = {  # of the fields of a study, and of what is in them
    "name": ((str,), "a text"),
    "question": ((str,), "a text"),
    "networks": ((str, Network, Recipe), "networks, their names, or pairs of a network and a recipe"),
    "data": ((str, Dataset), "a data set, its name, or a list of these"),
    "recipe": ((Recipe, NoneType), "a recipe, or a list of recipes"),
    "learning_rates": ((int, float), "a list of numbers"),
    "seeds": ((int,), "a whole number"),
    "claims": ((Difference,), "sentences with what decides them, {sentence: better(a, than=b)}"),
    "beside": ((Printed,), "a list of Printed(network, error, whose)"),
    "validation": ((str, Dataset, NoneType), "a data set or its name"),
}
Row = Network | str | tuple[Network | str, Recipe]
Claims = Mapping[str, Difference | Sequence[Difference]]


@dataclass(frozen=True)
class OwnStudy:
    """Every network on every data set by every recipe, at every learning rate, with seeds 0 to `seeds` - 1.

    A network is a table of layers, or the name of a built-in one; it gets as many classes as the data set has, and its
    side. A pair (network, recipe) is trained by that recipe alone. A data set is the name of a built-in one or what
    `imagefolder`, `npz` or `cifar_files` gives. UserError where something does not fit together.
    """

    name: str
    question: str
    networks: Sequence[Row]
    data: Dataset | str | Sequence[Dataset | str] = "cifar10"
    recipe: Recipe | Sequence[Recipe] | None = None  # None: the usual one of the data set
    learning_rates: Sequence[float] = ()  # of several the best is chosen; none: the recipe's own
    seeds: int = 1
    claims: Claims = field(default_factory=dict)  # a sentence: the differences that decide it
    beside: Sequence[Printed] = ()  # numbers in print
    validation: Dataset | str | None = None  # whose test images choose a learning rate besides: "cifar10-held-out"

    def __post_init__(self):
        self._insist_on_kinds()
        checked_name("the study's name", self.name)
        self.planned()

    def _insist_on_kinds(self) -> None:
        """UserError where a field is of another kind: Python itself would say so far from the field."""
        for name, (kinds, words) in KINDS.items():
            given = getattr(self, name)
            for part in [given] if name in ("name", "question", "seeds") else _parts(given):
                if not isinstance(part, kinds) or isinstance(part, bool):
                    raise UserError(f"{name} must be {words}, not {part!r}")
        if not 1 <= self.seeds <= MOST_SEEDS:
            raise UserError(f"seeds must lie between 1 and {MOST_SEEDS}, not {self.seeds}")

    def planned(self, seeds: int | None = None) -> Study:
        """The study with seeds 0 to `seeds` - 1."""
        datasets = [_dataset(d) for d in _several(self.data)]
        experiments = tuple(
            e for seed in range(seeds or self.seeds) for dataset in datasets for e in self._on(dataset, seed)
        )
        if not experiments:
            raise UserError(f"the study {self.name} has no runs: name networks, data and at least one seed")
        search = tuple(self._on(_dataset(self.validation), 0)) if self.validation else ()
        _check_rows(experiments)
        if {e.dataset.name for e in search} & {e.dataset.name for e in experiments}:
            raise UserError(
                f"the study {self.name} would choose learning rates on the test images that its table is about: name "
                'other data as validation, "cifar10-held-out" for cifar10'
            )
        trained = dict.fromkeys(map(cell, experiments))
        beside = tuple(self._published(printed, trained) for printed in self.beside)
        rows = Counter((one.network, one.dataset, one.augmented) for one in beside)
        if twice := [network for (network, *_), count in rows.items() if count > 1]:
            raise UserError(f"a row shows one number in print: leave one of those for {twice[0]} to a claim")
        return Study(
            self.name,
            self.question,
            experiments,
            beside,
            Relation.OWN,
            search=search,
            own_claims=tuple(
                Claim(number, sentence, tuple(self._comparison(d, trained) for d in _several(differences)))
                for number, (sentence, differences) in enumerate(self.claims.items(), 1)
            ),
        )

    def _on(self, dataset: Dataset, seed: int) -> list[Experiment]:
        usual = _several(self.recipe) if self.recipe else [usual_recipe(dataset)]
        rows = [row if isinstance(row, tuple) else (row, None) for row in _several(self.networks)]
        return [
            Experiment(fitted(_network(network), dataset, recipe), dataset, replace(recipe, lr=lr), seed)
            for network, alone in rows
            for recipe in ([alone] if alone else usual)
            for lr in _several(self.learning_rates) or [recipe.lr]
        ]

    def _setting(self, of: Difference | Printed, network: Network | str, trained: Collection[Cell]) -> Setting:
        """What a difference or a number in print is about; UserError where it trains no such cell, or several."""
        known = dict.fromkeys(this.network for this in trained)
        if isinstance(network, Network):
            name = network.name
        else:
            printed = {printed_name(key).lower(): key for key in known}
            name = printed.get(network.strip().lower()) or known_name("network of this study", network, known)
        if name not in known:
            raise UserError(f"the study {self.name} does not train {name}: its networks are {', '.join(known)}")
        data = None if of.data is None else _dataset(of.data).name
        fit = [this for this in trained if this.network == name and data in (None, this.dataset)]
        fit = [this for this in fit if of.augmented in (None, this.augmented)]
        if not fit:
            where = f" on {data}" if data else ""
            how = {None: "", True: " with augmentation", False: " without augmentation"}[of.augmented]
            raise UserError(f"the study {self.name} does not train {name}{where}{how}")
        if len({this.dataset for this in fit}) > 1:
            raise UserError(f"the study {self.name} has several data sets: say which with data=")
        if len(fit) > 1:
            raise UserError(f"the study {self.name} trains {name} with and without augmentation: say augmented=")
        return Setting(name, fit[0].dataset, fit[0].augmented)

    def _comparison(self, of: Difference, trained: Collection[Cell]) -> Comparison:
        left = self._setting(of, of.left, trained)
        if isinstance(of.right, Printed):
            return Comparison(left, PrintedError(of.right.who, of.right.error), of.low, of.high)
        right = self._setting(of, of.right, trained)
        if right == left:
            raise UserError(f"a claim of the study {self.name} compares {left.network} with itself")
        return Comparison(left, right, of.low, of.high)

    def _published(self, printed: Printed, trained: Collection[Cell]) -> PublishedError:
        of = self._setting(printed, printed.network, trained)
        who = printed.who
        return PublishedError(None, who, of.network, of.dataset, of.augmented, printed.error, None, "", who)


def _parts(value: Any) -> list[Any]:
    """What lists, pairs and dictionaries hold in the end."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [part for one in value for part in _parts(one)]
    return [value]


def _several(value: Any) -> list[Any]:
    """One value or several, as a list."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _dataset(value: Dataset | str) -> Dataset:
    return DATASETS[known_name("data set", value, DATASETS)] if isinstance(value, str) else value


def _network(value: Network | str) -> Network:
    network = find_network(value) if isinstance(value, str) else value
    checked_name("the network's name", network.name)
    if odd := [layer for layer in network.layers if not isinstance(layer, Layer)]:
        raise UserError(f"a layer of {network.name} must be Conv, Pool or Dropout, not {odd[0]!r}")
    if not network.convs:
        raise UserError(f"the network {network.name} has no convolution: its last gives the class scores")
    return network


def _check_rows(experiments: Sequence[Experiment]) -> None:
    """UserError where two different things would share a row of the tables."""
    rows: dict = {}
    for e in experiments:
        what = (e.network, e.dataset, replace(e.recipe, lr=1.0))
        if rows.setdefault(cell(e), what) != what:
            raise UserError(
                f"two rows of the study are called {e.network.name} on {e.dataset.name}: give one of the networks "
                f'another name, named(network, "{e.network.name}-other")'
            )
        if e.recipe.batch > (images := e.recipe.images_an_epoch(e.dataset.train)):
            raise UserError(
                f"a batch of {e.recipe.batch:,} is larger than an epoch, {images:,} images of {e.dataset.name}"
            )
    if len(set(experiments)) < len(experiments):
        raise UserError("a run is listed twice: name every network, data set, recipe and learning rate once")
