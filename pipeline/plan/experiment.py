"""One experiment: a frozen value whose id is its content."""

import hashlib
import json
from dataclasses import asdict, dataclass

from pipeline.paper.layers import Conv, Drop, Pool
from pipeline.paper.networks import Network
from pipeline.paper.recipes import Preprocess, Recipe
from pipeline.paper.refused import Refused
from pipeline.plan.datasets import Dataset

# Raise it when a change of code changes numbers, and say here why.
# 1  the first
REVISION = 1

_LAYERS = {kind.__name__.lower(): kind for kind in (Conv, Pool, Drop)}


@dataclass(frozen=True)
class Experiment:
    """What decides a number: network, data, recipe and seed. Where it is computed is not part of it."""

    network: Network
    dataset: Dataset
    recipe: Recipe
    seed: int = 0
    revision: int = REVISION

    def __post_init__(self):
        if self.network.side != self.dataset.side or self.network.classes != self.dataset.classes:
            raise ValueError(
                f"{self.network.name} is made for {self.network.classes} classes of {self.network.side} px images; "
                f"{self.dataset.name} has {self.dataset.classes} of {self.dataset.side} px"
            )
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")

    @property
    def id(self) -> str:
        """Readable first, unique last: all-cnn-c.cifar10.lr0.05.s0.fe70c9ed"""
        canonical = json.dumps(self.plain(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
        return f"{self.network.name}.{self.dataset.name}.lr{self.recipe.lr:g}.s{self.seed}.{digest}"

    @property
    def label(self) -> str:
        """Network, learning rate and seed, for people who watch."""
        return f"{self.network.name} lr {self.recipe.lr:g} seed {self.seed}"

    def plain(self) -> dict:
        """As JSON holds it; `experiment` reads it back."""
        out = asdict(self)
        out["network"]["layers"] = [
            {"kind": type(layer).__name__.lower()} | asdict(layer) for layer in self.network.layers
        ]
        out["recipe"]["lr_drops"] = list(self.recipe.lr_drops)
        return out


def experiment(plain: dict) -> Experiment:
    """The experiment that `plain` describes."""
    network, recipe = dict(plain["network"]), dict(plain["recipe"])
    network["layers"] = tuple(
        _LAYERS[row["kind"]](**{k: v for k, v in row.items() if k != "kind"}) for row in network["layers"]
    )
    recipe["preprocess"] = Preprocess(**recipe["preprocess"])
    recipe["lr_drops"] = tuple(recipe["lr_drops"])
    rest = {"network": Network(**network), "dataset": Dataset(**plain["dataset"]), "recipe": Recipe(**recipe)}
    try:
        return Experiment(**(plain | rest))
    except TypeError as error:
        raise Refused(f"this experiment was written by another version of strive: {error}") from error
