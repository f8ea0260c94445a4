"""One experiment: a frozen value whose id is its content."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from pipeline.errors import UserError
from pipeline.paper.networks import NETWORKS, Network
from pipeline.paper.recipes import Recipe
from pipeline.plan import plain_form
from pipeline.plan.datasets import Dataset

# Raise it when a change of code changes numbers, and say here why.
# 1  the first
# 2  dropout follows from an image's place in its epoch, no longer from the order of the batches
REVISION = 2

# What ids do not show, by data set: (the paper's width divided by the network's, epochs, batch). The first is the usual
# one, against which marks are made.
_USUAL = {
    "cifar10": ((1, 350, 128), (1, 410, 50)),
    "imagenet": ((1, 450, 64),),
    "digits": ((12, 10, 8), (12, 2, 8)),
    "cifar10-2000": ((6, 12, 8),),
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
        if self.recipe.streams > 1 and not self.dataset.shard:
            raise ValueError(f"{self.dataset.name} lies in one piece, whose order has no streams: leave streams at 1")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")

    @property
    def augmented(self) -> bool:
        """Whether training images are varied."""
        return self.recipe.augment is not None

    @cached_property
    def id(self) -> str:
        """Readable first, unique last: all-cnn-c.cifar10.lr0.05.s0.fe70c9ed"""
        try:
            canonical = json.dumps(self.plain(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        except ValueError as error:
            where = f"{self.network.name} on {self.dataset.name}"
            raise UserError(f"{where}: a number of the network, data or recipe is infinite or no number") from error
        digest = hashlib.sha256(canonical.encode()).hexdigest()[:8]
        data = f"{self.dataset.name}.augmented" if self.augmented else self.dataset.name
        lr = f"lr{self.recipe.lr:g}"
        return ".".join([self.network.name, data, *self._marks(), lr, f"s{self.seed}", digest])

    def _marks(self) -> list[str]:
        """What an id shows of a width, number of epochs or batch that is not the usual one: w4, e30, b256.

        Width: the paper's divided by the network's; a network of another origin has none.
        """
        usual = _USUAL.get(self.dataset.name, _USUAL["cifar10"])
        width = _narrowing(self.network)
        if any((width or common[0], self.recipe.epochs, self.recipe.batch) == common for common in usual):
            return []
        mine = (width or usual[0][0], self.recipe.epochs, self.recipe.batch)
        marked = zip("web", mine, usual[0], strict=True)
        return [f"{letter}{value:g}" for letter, value, common in marked if value != common]

    @property
    def label(self) -> str:
        """Network, learning rate and seed, for people who watch."""
        return f"{self.network.name} lr {self.recipe.lr:g} seed {self.seed}"

    def plain(self) -> dict:
        """As JSON holds it; `experiment` reads it back."""
        return plain_form.plain(self, PLAIN)


def _narrowing(network: Network) -> float | None:
    """The paper's width divided by the network's; None for a network that is not the paper's."""
    original = NETWORKS.get(network.name)
    return original.convs[0].width / network.convs[0].width if original else None


PLAIN = plain_form.Form(
    Experiment,
    {"network": "network", "dataset": "dataset", "recipe": "recipe", "seed": "seed", "revision": "revision"},
)


def experiment(plain: dict) -> Experiment:
    """The experiment that `plain` describes; Refused when it was written by another version of strive."""
    try:
        if isinstance(found := plain_form.read(plain, PLAIN), Experiment):
            return found
        raise TypeError("no experiment")
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(f"this experiment was written by another version of strive: {error!r}") from error
