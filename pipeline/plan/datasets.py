"""The data sets by name, each pinned to the SHA-256 of its raw images and labels."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """A labelled set of square RGB images in two fixed parts."""

    name: str
    side: int  # pixels
    classes: int
    train: int  # images
    test: int
    sha256: str | None  # of the raw data as data/sources.py defines it; None where it is not published
    shard: int = 0  # images a piece, read one after the other; 0: one piece that fits into memory
    labels: tuple[str, ...] = ()  # what the classes are called, where the data say it


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset("digits", 32, 10, 1442, 355, "50ca83379f02f9e3ef7b903adff3830f8d70bdda0c166f837fd384f7c18296a2"),
        # CIFAR in its published order; the labels of CIFAR-100 are the fine ones
        Dataset("cifar10", 32, 10, 50_000, 10_000, "32e5966899bde482c0ef7d076bf69809b4b1488c806f657a814cfca4646ec493"),
        Dataset(
            "cifar100", 32, 100, 50_000, 10_000, "b41e29387b788506ced6a48cea527c65d6387e1598add60c84d6995abf0b21fa"
        ),
        # the last 5,000 training images in place of the test images, which have no part in it
        Dataset(
            "cifar10-held-out",
            32,
            10,
            45_000,
            5_000,
            "2ae9d55e4c76fe08674346bd03c8117eaa30607967e2b0fd8a0f32784606123a",
        ),
        # the first 2,000 training and the first 1,000 test images
        Dataset(
            "cifar10-2000", 32, 10, 2_000, 1_000, "51942a398df3ec71882ceb2a491a3efed33fe53781d515d2dbdac671eb6bbb02"
        ),
        # ILSVRC-2012, decoded and resized here: no digest of that is published
        Dataset("imagenet", 256, 1_000, 1_281_167, 50_000, None, shard=256),
    )
}

OWN_KINDS = ("imagefolder", "npz", "cifar")  # of data of your own, named KIND:PATH

# what the classes of CIFAR are called, in the order of their numbers
CIFAR_10 = "airplane automobile bird cat deer dog frog horse ship truck"
CIFAR_100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""


def class_names(dataset: Dataset) -> tuple[str, ...] | None:
    """The names by number; None where the numbers say it all, or the names came with the data."""
    if dataset.labels:
        return dataset.labels
    if dataset.name.startswith("cifar100"):
        return tuple(name.replace("_", " ") for name in CIFAR_100.split())
    return tuple(CIFAR_10.split()) if dataset.name.startswith("cifar10") else None
