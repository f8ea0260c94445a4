"""Pure views of a study and its results: what it costs, which learning rate either rule chooses, what is missing and in
which order. Results are given by the run's id."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.paper.shapes import training_flops
from pipeline.plan.experiment import Experiment
from pipeline.plan.study import Study
from pipeline.records.result import Result

Results = Mapping[str, Result]

# paper: the best error on the test images, as the authors most likely chose (READING.md)
# held-out: the best error on 5,000 training images, after training on the other 45,000
RULES = ("paper", "held-out")
LIKELY_FIRST = (0.05, 0.01, 0.1, 0.25)  # the order in which learning rates are worth trying: others trained with these
GPU_FLOPS_A_SECOND = 3e14  # sustained by one data-center GPU; an expectation, for plans alone
CPU_FLOPS_A_SECOND = 2e10  # of one core at updates of SMALL_UPDATE operations; larger ones use it better
SMALL_UPDATE = 6e7
CPU_GAIN = 0.35  # measured with native bfloat16: 2e10 a second on digits, 1e11 at a quarter of the width, 3e11 in full


@dataclass(frozen=True)
class Cell:
    """What a table has one number for: seeds and learning rates are looked at together."""

    network: str
    dataset: str
    augmented: bool


def cell(experiment: Experiment) -> Cell:
    return Cell(experiment.network.name, experiment.dataset.name, experiment.augmented)


def flops(experiment: Experiment) -> int:
    """Floating-point operations of the whole training, evaluation left out."""
    images = experiment.recipe.images_an_epoch(experiment.dataset.train)
    return training_flops(experiment.network) * images * experiment.recipe.epochs


def gpu_seconds(experiment: Experiment) -> float:
    """What the training is expected to take on one GPU."""
    return flops(experiment) / GPU_FLOPS_A_SECOND


def cpu_seconds(experiment: Experiment) -> float:
    """What the training is expected to take on one core, until the machine at hand has shown how fast it is."""
    recipe, work = experiment.recipe, flops(experiment)
    updates = recipe.epochs * recipe.images_an_epoch(experiment.dataset.train) / recipe.batch
    return work / (CPU_FLOPS_A_SECOND * (work / updates / SMALL_UPDATE) ** CPU_GAIN)


def chosen_learning_rates(study: Study, results: Results, rule: str) -> dict[Cell, float]:
    """The learning rate that `rule` chooses for each cell; a cell is left out while a candidate has no outcome, and
    where one crashed or is damaged: that says nothing of its rate.

    Where a study has one rate for a cell there is nothing to choose. Of equal errors the smaller rate wins.
    """
    chosen = {}
    for this, planned in _by_cell(study.experiments).items():
        if len(planned) == 1:
            chosen[this] = next(iter(planned))
        elif best := _best(candidates(study, this, rule), results):
            chosen[this] = best
    return chosen


def candidates(study: Study, this: Cell, rule: str) -> list[Experiment]:
    """The runs among which `rule` chooses a rate for the cell."""
    if rule not in RULES:
        raise ValueError(f"the rules are {RULES}, not {rule!r}")
    if rule == "paper" and not study.tuned_on:
        return [e for e in _candidates(study) if cell(e) == this]
    return [e for e in (study.tuned_on if rule == "paper" else study.search) if _alike(cell(e), this)]


def needed(study: Study, results: Results) -> list[Experiment]:
    """What can be trained now, in the order of its worth; call it again when that has come out.

    First every learning rate with seed 0, those others trained with first; then the search on held-out images; then
    the further seeds at the rates that either rule chose. Where nothing is to be chosen, every seed, longest first.
    """
    if study.parts:
        return list(dict.fromkeys(e for part in study.parts for e in needed(part, results)))
    if study.every_run:
        return [e for e in study.experiments if e.id not in results]
    open_rates = {this for this, planned in _by_cell(study.experiments).items() if len(planned) > 1}
    settled_rates = [e for e in study.experiments if cell(e) not in open_rates]
    chosen = {
        (this, rate)
        for rule in RULES
        for this, rate in chosen_learning_rates(study, results, rule).items()
        if this in open_rates
    }
    further = [e for e in study.experiments if (cell(e), e.recipe.lr) in chosen]
    stages = [
        sorted(settled_rates, key=flops, reverse=True),
        sorted(_candidates(study) if open_rates else (), key=_worth),
        sorted(study.search, key=_worth),
        sorted(further, key=lambda e: (e.seed, -flops(e))),
    ]
    return list(dict.fromkeys(e for stage in stages for e in stage if e.id not in results))


def _candidates(study: Study) -> tuple[Experiment, ...]:
    """The runs whose errors on the test images choose."""
    return study.tuned_on or tuple(e for e in study.experiments if e.seed == 0)


def _best(candidates: list[Experiment], results: Results) -> float | None:
    unknown = [e for e in candidates if e.id not in results or results[e.id].outcome in ("crashed", "damaged")]
    if unknown or not candidates:
        return None
    errors = [(error, e.recipe.lr) for e in candidates if (error := results[e.id].error_percent) is not None]
    return min(errors)[1] if errors else None


def _alike(one: Cell, other: Cell) -> bool:
    """Whether a rate chosen on the one holds for the other: the data set may be another (section 3.3)."""
    return (one.network, one.augmented) == (other.network, other.augmented)


def _by_cell(experiments: Iterable[Experiment]) -> dict[Cell, set[float]]:
    """The learning rates planned for each cell."""
    out: dict[Cell, set[float]] = {}
    for experiment in experiments:
        out.setdefault(cell(experiment), set()).add(experiment.recipe.lr)
    return out


def _worth(experiment: Experiment) -> tuple[int, int]:
    rate = experiment.recipe.lr
    place = LIKELY_FIRST.index(rate) if rate in LIKELY_FIRST else len(LIKELY_FIRST)
    return place, -flops(experiment)
