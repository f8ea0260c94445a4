"""A finished run to look into: its model, and the test images as the model and as people see them."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property, lru_cache

import torch
from torch import Tensor, nn

from pipeline.data import prepare
from pipeline.evaluation.verify import load_model
from pipeline.numerics import augmentation
from pipeline.numerics.fast.precision import Mode, set_backend_flags
from pipeline.numerics.model import build, transplant
from pipeline.numerics.saliency.attribution import Target, explained
from pipeline.numerics.saliency.coverage_check import check
from pipeline.paper.networks import Network, with_pools
from pipeline.store.objects import Store

BATCH = 16  # images; more of them no longer fit into a core's cache, and a GPU takes BATCH_GPU
BATCH_GPU = 256


class ExplainedModel:
    """One run. Indices are of test images, where nothing says otherwise."""

    def __init__(self, store: Store, id: str, precision: str = "float32"):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.precision = precision
        set_backend_flags(Mode())
        trained = load_model(store, id)
        self.experiment, self.result, self.rounded = trained.experiment, trained.result, trained.rounded
        self.model = trained.model.to(self.device)
        self._data = prepare.load(store, self.experiment.dataset, self.experiment.recipe.preprocess)
        self._feed = lru_cache(lambda part: self._data.feed(part, self.experiment.recipe, self.device))
        check(self.model, self.seen([0]))

    @property
    def network(self) -> Network:
        return self.experiment.network

    def seen(self, index: Sequence[int], part: str = "test") -> Tensor:
        """These images as the model sees them: (N, C, H, W) on the device."""
        images, _ = self._feed(part).eval_batch(torch.tensor(index))
        return images

    def all(self, part: str) -> Iterator[Tensor]:
        """Every image of the part as the model sees it, batch by batch."""
        return (images for images, _ in self._feed(part).evaluation_batches(self._batch))

    def pixels(self, index: Sequence[int], part: str = "test") -> Tensor:
        """These images as people see them, cut or framed as the model sees them: (N, 3, H, W) from 0 to 1."""
        pixels, _ = self._data.pixels(part).take(torch.tensor(index))
        return augmentation.eval_transform(pixels, self.experiment.recipe.augment).cpu() / 255

    def labels(self, index: Sequence[int], part: str = "test") -> list[int]:
        return self._data.pixels(part).labels[torch.tensor(index)].tolist()

    def of_every_class(self, count: int) -> list[int]:
        """The first image of every class, then the second of every class, and so on."""
        rank, seen = [], {}
        for position, label in enumerate(self._data.test_pixels.labels.tolist()):
            rank.append((seen.setdefault(label, 0), label, position))
            seen[label] += 1
        return [position for _, _, position in sorted(rank)[:count]]

    def maps(
        self,
        index: Sequence[int],
        target: Target,
        rules: Sequence[str],
        switches: bool = True,
        model: nn.Module | None = None,
        part: str = "test",
    ) -> tuple[dict[str, Tensor], Target]:
        """Maps (N, C, H, W) of each image's target by each rule, and the target with what it left open, on the CPU."""
        out: dict[str, list[Tensor]] = {rule: [] for rule in rules}
        targets = []
        for at in self._batches(range(len(index))):
            some = Target(self._some(target.channels_N, at), target.layer, self._some(target.places_N2, at))
            images = self.seen([index[i] for i in at], part)
            with self._autocast():
                found, some = explained(model or self.model, images, some, rules, (switches,), checked=True)
            targets.append(some)
            for rule in rules:
                out[rule].append(found[rule, switches].float().cpu())
        channels, places = (_joined([getattr(t, name) for t in targets]) for name in ("channels_N", "places_N2"))
        return {rule: torch.cat(parts) for rule, parts in out.items()}, Target(channels, target.layer, places)

    def _some(self, values: Tensor | None, at: list[int]) -> Tensor | None:
        return None if values is None else values[at].to(self.device)

    @cached_property
    def pooled(self) -> nn.Module | None:
        """The same weights with 2x2 max-pooling in the place of every stride of 2 (section 3.4); None without any."""
        network = with_pools(self.network)
        if network.layers == self.network.layers:
            return None
        model = build(network).to(self.device)
        transplant(self.model, model)
        check(model, self.seen([0]))
        return model.eval()

    def _autocast(self):
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device, getattr(torch, self.precision))

    def _batches(self, index: Sequence[int]) -> list[list[int]]:
        return [list(index[i : i + self._batch]) for i in range(0, len(index), self._batch)]

    @property
    def _batch(self) -> int:
        return BATCH if self.device == "cpu" else BATCH_GPU


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    there = [part.cpu() for part in parts if part is not None]
    return torch.cat(there) if there else None
