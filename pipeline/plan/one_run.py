"""One run, without a study: what is not named is as the data set's studies have it."""

from dataclasses import replace

from pipeline.errors import UserError, known_name
from pipeline.paper.networks import LARGE, Network
from pipeline.paper.recipes import LARGE as LARGE_RECIPE
from pipeline.paper.recipes import Preprocess, Scale, Whiten
from pipeline.plan.datasets import Dataset
from pipeline.plan.experiment import Experiment
from pipeline.plan.usual import at_width, fitted, share, usual_recipe, with_epochs

PREPROCESSING: dict[str, Preprocess] = {"whiten": Whiten(), "scale": Scale()}


def one_run(
    network: Network,
    dataset: Dataset,
    width: str = "1",
    epochs: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    augmented: bool = False,
    preprocess: str | None = None,
    seed: int = 0,
) -> Experiment:
    """The run that these make. `width` is a share, "1/2"; drops of the learning rate keep their place in the epochs.

    UserError where something is out of range or does not fit together.
    """
    recipe = LARGE_RECIPE if network.name == LARGE.name else usual_recipe(dataset, augmented)
    recipe = with_epochs(recipe, epochs) if epochs is not None else recipe
    if preprocess is not None:
        how = PREPROCESSING[known_name("preprocessing", preprocess, PREPROCESSING)]
        recipe = recipe if isinstance(recipe.preprocess, type(how)) else replace(recipe, preprocess=how)
    if batch is not None and batch > (images := recipe.images_an_epoch(dataset.train)):
        raise UserError(f"a batch of {batch:,} is larger than an epoch, {images:,} images of {dataset.name}")
    changes = {"batch": batch, "lr": learning_rate}
    try:
        recipe = replace(recipe, **{name: value for name, value in changes.items() if value is not None})
        return Experiment(fitted(at_width(network, dataset, share(width)), dataset, recipe), dataset, recipe, seed)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"this run cannot be trained: {error}") from error
