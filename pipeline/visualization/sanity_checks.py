"""Whether maps change when the network forgets (Adebayo et al. 2018): rank correlation and structural similarity."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from scipy.stats import rankdata
from torch import Tensor, nn

from pipeline.numerics.saliency.attribution import Target
from pipeline.numerics.saliency.randomization import randomize_cascade
from pipeline.visualization.explained_model import ExplainedModel
from pipeline.visualization.png import around_gray

WINDOW = 7  # pixels along a side in which structures are compared: scikit-image's own; fewer on smaller images


@dataclass(frozen=True)
class MapSimilarity:
    """Maps of a network that has forgotten down to `layer`, beside those of the trained one; means over images."""

    method: str
    layer: str  # the last one that was made random
    spearman: float | None  # of the values; None where every map of the random network is blank
    spearman_abs: float | None  # of their sizes
    ssim: float | None  # of the pictures as they are drawn
    blank: int  # images without any signal, left out of the means


@dataclass(frozen=True)
class Compared:
    """All stages of the cascade by every method."""

    layers: list[str]  # in the order in which they were made random
    likeness: list[MapSimilarity]
    shown: dict[str, Tensor]  # by method, the first image's maps: trained, then every stage
    maps: int

    def plain(self) -> list[dict]:
        return [asdict(row) for row in self.likeness]


@dataclass(frozen=True)
class Views:
    """Maps as they are compared."""

    signal_N: np.ndarray  # whether there is any
    ranks_ND: np.ndarray  # of the values, about their mean and of length 1
    sizes_ND: np.ndarray  # the same of their absolute values
    drawn_NCHW: np.ndarray  # as the pictures show them, 0 to 1


def views(maps_NCHW: Tensor) -> Views:
    signal = maps_NCHW.flatten(1).abs().amax(1).numpy() > 0
    return Views(signal, _ranks(maps_NCHW), _ranks(maps_NCHW.abs()), around_gray(maps_NCHW).numpy())


def _ranks(values_NCHW: Tensor) -> np.ndarray:
    """Two of these multiplied and summed are Spearman's correlation; scipy's own ranks again for every pair."""
    ranks = rankdata(values_NCHW.flatten(1).numpy(), axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    length = np.sqrt((ranks**2).sum(1, keepdims=True))
    return np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)


def paper_comparison(subject: ExplainedModel, index: Sequence[int], methods: Sequence[str]) -> Compared:
    """The predicted class's maps of the trained network against those of every stage, for the same classes."""
    trained, predicted = subject.maps(index, Target(), methods)
    before = {method: views(maps) for method, maps in trained.items()}
    names = _paper_names(subject.model)
    stages, rows, shown = [], [], {method: [trained[method][:1]] for method in methods}
    for module, random in randomize_cascade(subject.model):
        stages.append(names[module])
        found, _ = subject.maps(index, predicted, methods, model=random)
        for method in methods:
            rows.append(map_similarity(method, names[module], before[method], views(found[method])))
            shown[method].append(found[method][:1])
    count = len(index) * len(methods) * (1 + len(stages))
    return Compared(stages, rows, {method: torch.cat(parts) for method, parts in shown.items()}, count)


def _paper_names(model: nn.Module) -> dict[str, str]:
    """conv1 and on for the model's convolutions."""
    convs = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    return {name: f"conv{count}" for count, name in enumerate(convs, 1)}


def structural_similarity(one_NCHW: np.ndarray, two_NCHW: np.ndarray) -> np.ndarray:
    """SSIM of every pair of images with values of 0 to 1 (Wang et al. 2004; uniform windows), means over colors: (N,).

    What scikit-image computes for one pair of planes a call, which for the small images here is mostly calls.
    """
    side = min(WINDOW, *one_NCHW.shape[2:])
    window = side - (side % 2 == 0)  # odd
    inside = np.s_[:, :, window // 2 : one_NCHW.shape[2] - window // 2, window // 2 : one_NCHW.shape[3] - window // 2]

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, window, axes=(2, 3))[inside]

    mean_one, mean_two = mean(one_NCHW), mean(two_NCHW)
    sample = window**2 / max(window**2 - 1, 1)  # of covariances; a single pixel has none
    squares = sample * (mean(one_NCHW**2) - mean_one**2 + mean(two_NCHW**2) - mean_two**2)
    product = sample * (mean(one_NCHW * two_NCHW) - mean_one * mean_two)
    alike = (2 * mean_one * mean_two + 0.01**2) * (2 * product + 0.03**2)
    return (alike / ((mean_one**2 + mean_two**2 + 0.01**2) * (squares + 0.03**2))).mean((1, 2, 3), dtype=np.float64)


def map_similarity(method: str, layer: str, trained: Views, random: Views) -> MapSimilarity:
    """How alike two lists of maps are, image by image."""
    signal = trained.signal_N & random.signal_N
    if not signal.any():
        return MapSimilarity(method, layer, None, None, None, len(signal))
    spearman = (trained.ranks_ND * random.ranks_ND).sum(1)[signal]
    sizes = (trained.sizes_ND * random.sizes_ND).sum(1)[signal]
    ssim = structural_similarity(trained.drawn_NCHW, random.drawn_NCHW)[signal]
    rho, rho_abs, alike = (round(float(np.mean(values)), 4) for values in (spearman, sizes, ssim))
    return MapSimilarity(method, layer, rho, rho_abs, alike, int((~signal).sum()))
