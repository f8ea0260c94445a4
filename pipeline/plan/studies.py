"""Studies: fixed lists of experiments, each with the claims it stands beside."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline.paper.claims import TABLE_3, Claim
from pipeline.paper.networks import TWELVE, Network, narrow, with_dropout
from pipeline.paper.recipes import Recipe, Whiten
from pipeline.paper.refused import Refused, unknown
from pipeline.plan.datasets import DATASETS
from pipeline.plan.experiment import Experiment


@dataclass(frozen=True)
class Study:
    """A name, what it asks, and every run that answers it."""

    name: str
    question: str
    experiments: tuple[Experiment, ...]
    claims: tuple[Claim, ...] = ()
    comparable: bool = False  # whether the paper's numbers were measured on this study's task


# The digits study's own choices; the README says how they were found. The paper's values stay in paper/recipes.py.
DIGITS_WIDTH = 12  # the paper's widths divided by this: 8 and 16 channels
DIGITS_DROPOUT = 0.05  # after each pooling or what replaces it; none on the image
DIGITS = Recipe(
    lr=0.004,
    epochs=10,
    lr_drops=(7, 9),
    batch=8,
    initialise="data-dependent",
    # an enlarged digit fills 64 of 3,072 directions: full whitening would lift the empty ones and hide the strokes, so
    # the images are small against the ridge and scaled up to a deviation of 1 afterwards
    preprocess=Whiten(gcn_scale=0.5, input_scale=50.0),
)


def _digits_network(network: Network) -> Network:
    thin = narrow(network, DIGITS_WIDTH)
    return replace(thin, layers=with_dropout(thin.layers, image=0, pooled=DIGITS_DROPOUT))


def digits(seeds: int = 1) -> Study:
    """The twelve networks at a fraction of their width on handwritten digits: minutes, on any laptop."""
    experiments = tuple(
        Experiment(_digits_network(network), DATASETS["digits"], DIGITS, seed)
        for seed in range(seeds)
        for network in TWELVE.values()
    )
    return Study("digits", "do all twelve networks learn, end to end?", experiments, TABLE_3)


def smoke(seeds: int = 1) -> Study:
    """Two of the networks for two epochs: does everything hold together?"""
    recipe = replace(DIGITS, epochs=2, lr_drops=(1,))
    experiments = tuple(
        Experiment(_digits_network(TWELVE[name]), DATASETS["digits"], recipe, seed)
        for seed in range(seeds)
        for name in ("strided-cnn-a", "all-cnn-c")
    )
    claims = tuple(claim for claim in TABLE_3 if claim.network in {e.network.name for e in experiments})
    return Study("smoke", "does everything hold together?", experiments, claims)


STUDIES: dict[str, Callable[[int], Study]] = {"digits": digits, "smoke": smoke}


def study(name: str, seeds: int = 1) -> Study:
    """The study of that name with seeds 0 to `seeds` - 1."""
    if name not in STUDIES:
        raise unknown("study", name, STUDIES)
    if not 1 <= seeds <= 100:
        raise Refused(f"--seeds must lie between 1 and 100, not {seeds}")
    return STUDIES[name](seeds)
