"""What the classes of CIFAR are called, in the order of their numbers."""

from pipeline.plan.datasets import Dataset

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
    if dataset.name.startswith("cifar100"):
        return tuple(name.replace("_", " ") for name in CIFAR_100.split())
    return tuple(CIFAR_10.split()) if dataset.name.startswith("cifar10") else None
