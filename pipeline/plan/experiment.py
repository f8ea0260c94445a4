"""One experiment: a frozen value whose id is its content."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from pipeline.errors import Refused
from pipeline.paper.augmentations import Crop, Distort, Shift
from pipeline.paper.layers import Conv, Drop, Pool
from pipeline.paper.networks import Network
from pipeline.paper.recipes import Recipe, Scale, Whiten
from pipeline.plan.datasets import Dataset

# Raise it when a change of code changes numbers, and say here why.
# 1  the first
# 2  dropout follows from an image's place in its epoch, no longer from the order of the batches
REVISION = 2

# what stands in a field that may hold one of several kinds, by the word that JSON has for it
_KINDS: dict[str, Any] = {
    kind.__name__.lower(): kind for kind in (Conv, Pool, Drop, Whiten, Scale, Shift, Distort, Crop)
}


@dataclass(frozen=True)
class Experiment:
    """What decides a number: network, data, recipe and seed. Where it is computed is not part of it."""

    network: Network
    dataset: Dataset
    recipe: Recipe
    seed: int = 0
    revision: int = REVISION

    def __post_init__(self):
        seen = self.recipe.augment.side(self.dataset.side) if self.recipe.augment else self.dataset.side
        if self.network.side != seen or self.network.classes != self.dataset.classes:
            raise ValueError(
                f"{self.network.name} is made for {self.network.classes} classes of {self.network.side} px images; "
                f"{self.dataset.name} shows it {self.dataset.classes} of {seen} px"
            )
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")

    @property
    def augmented(self) -> bool:
        """Whether training images are varied."""
        return self.recipe.augment is not None

    @cached_property
    def id(self) -> str:
        """Readable first, unique last: all-cnn-c.cifar10.lr0.05.s0.fe70c9ed"""
        canonical = json.dumps(self.plain(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
        data = f"{self.dataset.name}.augmented" if self.augmented else self.dataset.name
        return f"{self.network.name}.{data}.lr{self.recipe.lr:g}.s{self.seed}.{digest}"

    @property
    def label(self) -> str:
        """Network, learning rate and seed, for people who watch."""
        return f"{self.network.name} lr {self.recipe.lr:g} seed {self.seed}"

    def plain(self) -> dict:
        """As JSON holds it; `experiment` reads it back."""
        out = asdict(self)
        out["network"]["layers"] = [_tagged(layer) for layer in self.network.layers]
        out["recipe"]["lr_drops"] = list(self.recipe.lr_drops)
        out["recipe"]["preprocess"] = _tagged(self.recipe.preprocess)
        out["recipe"]["augment"] = _tagged(self.recipe.augment) if self.recipe.augment else None
        return out


def experiment(plain: dict) -> Experiment:
    """The experiment that `plain` describes."""
    network, recipe = dict(plain["network"]), dict(plain["recipe"])
    try:
        network["layers"] = tuple(_untagged(row) for row in network["layers"])
        recipe["preprocess"] = _untagged(recipe["preprocess"])
        recipe["augment"] = _untagged(recipe["augment"]) if recipe["augment"] else None
        recipe["lr_drops"] = tuple(recipe["lr_drops"])
        rest = {"network": Network(**network), "dataset": Dataset(**plain["dataset"]), "recipe": Recipe(**recipe)}
        return Experiment(**(plain | rest))
    except (TypeError, KeyError) as error:
        raise Refused(f"this experiment was written by another version of strive: {error!r}") from error


def _tagged(value: Any) -> dict:
    fields = {name: list(field) if isinstance(field, tuple) else field for name, field in asdict(value).items()}
    return {"kind": type(value).__name__.lower()} | fields


def _untagged(row: dict) -> Any:
    fields = {name: tuple(field) if isinstance(field, list) else field for name, field in row.items() if name != "kind"}
    return _KINDS[row["kind"]](**fields)
