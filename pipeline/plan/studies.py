"""Our studies, fixed lists of experiments, and how a study is found by its name."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from pipeline.errors import UserError, known_name
from pipeline.paper.networks import ABLATIONS, IMAGENET, LARGE, TWELVE, Network, for_classes, narrow
from pipeline.paper.published_errors import PUBLISHED_ERRORS, TABLE_3, PublishedError
from pipeline.paper.recipes import CIFAR, CIFAR_AUGMENTED, LEARNING_RATES, Recipe
from pipeline.paper.recipes import IMAGENET as IMAGENET_RECIPE
from pipeline.paper.recipes import LARGE as LARGE_RECIPE
from pipeline.plan.datasets import DATASETS
from pipeline.plan.experiment import Experiment
from pipeline.plan.own_study import MOST_SEEDS
from pipeline.plan.readings import readings
from pipeline.plan.study import Relation as Relation
from pipeline.plan.study import Study as Study
from pipeline.plan.study import only, runs_of_networks
from pipeline.plan.study import part_of as part_of
from pipeline.plan.study_files import own_studies
from pipeline.plan.usual import CIFAR_SMOKE, DIGITS, DIGITS_DROPOUT, DIGITS_WIDTH, SMOKE_WIDTH, small


def _grid(networks: Iterable[Network], dataset: str, recipe: Recipe, seeds: int) -> tuple[Experiment, ...]:
    """Every network at every learning rate of the paper's search, with seeds 0 to `seeds` - 1."""
    return tuple(
        Experiment(network, DATASETS[dataset], replace(recipe, lr=lr), seed)
        for seed in range(seeds)
        for network in networks
        for lr in LEARNING_RATES
    )


def table_3(seeds: int = 5) -> Study:
    """Table 3: the twelve networks on CIFAR-10 as it is."""
    return Study(
        "table-3",
        "do the twelve networks make the errors of Table 3?",
        _grid(TWELVE.values(), "cifar10", CIFAR, seeds),
        TABLE_3,
        relation=Relation.PAPER,
        search=_grid(TWELVE.values(), "cifar10-held-out", CIFAR, 1),
    )


def augmented(seeds: int = 5) -> Study:
    """Table 4, in the middle: All-CNN-C with flips and small translations."""
    return Study(
        "augmented",
        "does All-CNN-C make the error of Table 4 with augmentation?",
        _grid([TWELVE["all-cnn-c"]], "cifar10", CIFAR_AUGMENTED, seeds),
        _claims(4, "cifar10", augmented=True, networks=["all-cnn-c"]),
        relation=Relation.PAPER,
        search=_grid([TWELVE["all-cnn-c"]], "cifar10-held-out", CIFAR_AUGMENTED, 1),
        read_also=(only(table_3(seeds), ["all-cnn-c"]),),
    )


def cifar_100(seeds: int = 5) -> Study:
    """Table 4, CIFAR-100: All-CNN-C with and without augmentation, at the rate that CIFAR-10 chose (section 3.3)."""
    network = for_classes(TWELVE["all-cnn-c"], 100)
    return Study(
        "cifar-100",
        "does All-CNN-C make the error of Table 4 on CIFAR-100, with nothing tuned anew?",
        _grid([network], "cifar100", CIFAR, seeds) + _grid([network], "cifar100", CIFAR_AUGMENTED, seeds),
        _claims(4, "cifar100", augmented=True, networks=["all-cnn-c"]),
        relation=Relation.PAPER,
        search=runs_of_networks(["all-cnn-c"], table_3().search + augmented().search),
        tuned_on=runs_of_networks(["all-cnn-c"], table_3(1).experiments + augmented(1).experiments),
    )


def ablations(seeds: int = 5) -> Study:
    """What the text says of other heads and more dropout, and what reimplementations changed."""
    return Study(
        "ablations",
        "what do other heads, more dropout and the usual misreadings change?",
        _grid(ABLATIONS.values(), "cifar10", CIFAR, seeds),
        relation=Relation.PAPER,
        search=_grid(ABLATIONS.values(), "cifar10-held-out", CIFAR, 1),
        read_also=(only(table_3(seeds), ["model-a", "model-b", "model-c", "all-cnn-c"]),),
    )


def held_out(seeds: int = 1) -> Study:
    """The search that chooses learning rates without looking at a test image."""
    searches = [study.search for study in (table_3(), augmented(), ablations())]
    experiments = tuple(replace(e, seed=seed) for seed in range(seeds) for search in searches for e in search)
    return Study(
        "held-out",
        "which learning rate do 5,000 held-out training images choose?",
        experiments,
        relation=Relation.OTHER,
    )


def large(seeds: int = 1) -> Study:
    """Table 5 and the last row of Table 4, with a stand-in for the recipe that the paper does not give."""
    return Study(
        "large",
        "does Large-All-CNN make its error on CIFAR-10, under Graham's recipe?",
        tuple(Experiment(LARGE, DATASETS["cifar10"], LARGE_RECIPE, seed) for seed in range(seeds)),
        _claims(4, "cifar10", augmented=True, networks=[LARGE.name]),
        relation=Relation.PAPER,
    )


def imagenet(seeds: int = 1) -> Study:
    """Table 6: All-CNN-B on ImageNet, one center crop an image."""
    return Study(
        "imagenet",
        "does All-CNN-B make its error on ImageNet?",
        tuple(Experiment(IMAGENET, DATASETS["imagenet"], IMAGENET_RECIPE, seed) for seed in range(seeds)),
        tuple(claim for claim in PUBLISHED_ERRORS if claim.network == IMAGENET.name),
        relation=Relation.PAPER,
    )


def everything(seeds: int = 5) -> Study:
    """All that the paper trains, the searches included."""
    parts = (table_3(seeds), augmented(seeds), cifar_100(seeds), ablations(seeds), held_out(), large(), imagenet())
    return Study(
        "all",
        "the whole paper",
        tuple(e for part in parts for e in part.experiments),
        tuple(claim for part in parts for claim in part.published_errors),
        relation=Relation.PAPER,
        parts=parts,
    )


def digits(seeds: int = 1) -> Study:
    """The twelve networks at a fraction of their width on handwritten digits: minutes, on any laptop."""
    experiments = tuple(
        Experiment(small(network, DIGITS_WIDTH, DIGITS_DROPOUT), DATASETS["digits"], DIGITS, seed)
        for seed in range(seeds)
        for network in TWELVE.values()
    )
    return Study("digits", "do all twelve networks learn, end to end?", experiments, TABLE_3, Relation.OTHER)


def cifar_smoke(seeds: int = 1) -> Study:
    """The twelve networks at a sixth of their width on 2,000 real images: minutes, on any laptop."""
    experiments = tuple(
        Experiment(small(network, SMOKE_WIDTH, DIGITS_DROPOUT), DATASETS["cifar10-2000"], CIFAR_SMOKE, seed)
        for seed in range(seeds)
        for network in TWELVE.values()
    )
    question = "do all twelve networks learn from real images, end to end?"
    scale = "a sixth of the width, 2,000 training images, 12 epochs"
    return Study("cifar-smoke", question, experiments, TABLE_3, Relation.SMALLER, scale)


def smoke(seeds: int = 1) -> Study:
    """Two of the networks for two epochs: does everything hold together?"""
    recipe = replace(DIGITS, epochs=2, lr_drops=(1,))
    experiments = tuple(
        Experiment(small(TWELVE[name], DIGITS_WIDTH, DIGITS_DROPOUT), DATASETS["digits"], recipe, seed)
        for seed in range(seeds)
        for name in ("strided-cnn-a", "all-cnn-c")
    )
    claims = tuple(claim for claim in TABLE_3 if claim.network in {e.network.name for e in experiments})
    return Study("smoke", "does everything hold together?", experiments, claims, Relation.OTHER)


# The twelve networks at a quarter of the width, by the paper's recipe but for its length
QUARTER_WIDTH = 4
QUARTER_EPOCHS = 30
QUARTER_DROPS = (17, 21, 26)  # as 200, 250 and 300 are to 350


def quarter(seeds: int = 5) -> Study:
    """Table 3 at a quarter of the width in 30 epochs: how the networks compare with each other."""
    recipe = replace(CIFAR, epochs=QUARTER_EPOCHS, lr_drops=QUARTER_DROPS)
    networks = [narrow(network, QUARTER_WIDTH) for network in TWELVE.values()]
    return Study(
        "quarter",
        "do the twelve networks compare as in Table 3, at a quarter of the width?",
        _grid(networks, "cifar10", recipe, seeds),
        TABLE_3,
        Relation.SMALLER,
        "a quarter of the width, 30 of 350 epochs",
    )


STUDIES: dict[str, Callable[..., Study]] = {
    "digits": digits,
    "smoke": smoke,
    "cifar-smoke": cifar_smoke,
    "table-3": table_3,
    "augmented": augmented,
    "cifar-100": cifar_100,
    "ablations": ablations,
    "held-out": held_out,
    "quarter": quarter,
    "readings": readings,
    "large": large,
    "imagenet": imagenet,
    "all": everything,
}


def every_study() -> dict[str, Callable[..., Study]]:
    """Ours, and those of the files that STRIVE_STUDIES names; UserError where one of these cannot be read."""
    return STUDIES | own_studies(STUDIES)


def study(name: str, seeds: int | None = None) -> Study:
    """The study of that name with seeds 0 to `seeds` - 1, or with as many as it asks for."""
    known = every_study()
    make = known[known_name("study", name, known)]
    if seeds is None:
        return make()
    if not 1 <= seeds <= MOST_SEEDS:
        raise UserError(f"--seeds must lie between 1 and {MOST_SEEDS}, not {seeds}")
    return make(seeds)


def _claims(table: int, dataset: str, augmented: bool, networks: list[str]) -> tuple[PublishedError, ...]:
    return tuple(
        c
        for c in PUBLISHED_ERRORS
        if (c.table, c.dataset, c.augmented) == (table, dataset, augmented) and c.network in networks
    )
