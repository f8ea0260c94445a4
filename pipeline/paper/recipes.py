"""How the paper trains (section 3.1, appendices), as values. What it leaves open is a field whose reading is in
READING.md."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipeline.paper.augmentations import Augment, Crop, Distort, Shift

INITIALIZATIONS = ("xavier", "he", "glorot", "normal", "data-dependent")


@dataclass(frozen=True)
class Whiten:
    """Global contrast normalization and ZCA whitening as Goodfellow et al. (2013) did them, whom the paper follows."""

    gcn_scale: float = 55.0  # L2 norm of every image after contrast normalization
    zca_epsilon: float = 0.1  # added to the diagonal of the covariance
    input_scale: float = 1.0  # multiplies the whitened image; 1 on CIFAR

    def __post_init__(self):
        for name in ("gcn_scale", "zca_epsilon", "input_scale"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


@dataclass(frozen=True)
class Scale:
    """Raw values 0 to 255 to (value - subtract) / divide, a constant for each color."""

    subtract: tuple[float, float, float] = (128.0, 128.0, 128.0)  # red, green, blue
    divide: float = 128.0

    def __post_init__(self):
        if len(self.subtract) != 3 or not all(map(math.isfinite, self.subtract)) or not 0 < self.divide < math.inf:
            raise ValueError(f"subtract needs three values and divide must be positive: {self.subtract}, {self.divide}")


Preprocess = Whiten | Scale


@dataclass(frozen=True)
class Recipe:
    """One way to train a network with stochastic gradient descent."""

    lr: float
    epochs: int = 350
    epoch_images: int | None = None  # training images an epoch; None: every image once
    lr_drops: tuple[int, ...] = (200, 250, 300)  # epochs before which lr is multiplied by 0.1
    lr_decay: float = 0.0  # lr falls as exp(-lr_decay * epoch) besides
    batch: int = 128  # images; not stated in the paper
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.001  # added to every gradient, biases included, as in Caffe
    initialization: str = "he"  # not stated in the paper
    preprocess: Preprocess = field(default_factory=Whiten)
    augment: Augment | None = None
    score_bias: float = 0.0  # at which the biases of the last layer start; not stated in the paper
    plain_epochs: int = 0  # the last epochs, trained on images as they are evaluated
    streams: int = 1  # that take turns in the order of images in shards; not stated in the paper

    def __post_init__(self):
        for name in ("epochs", "batch", "plain_epochs", "streams"):
            if not isinstance(getattr(self, name), int):
                raise ValueError(f"{name} must be a whole number, not {getattr(self, name)!r}")
        if not isinstance(self.preprocess, Preprocess) or not isinstance(self.augment, Augment | None):
            raise ValueError(
                f"preprocess must be Whiten(...) or Scale(...), augment Shift(...), Distort(...), Crop(...) or None, "
                f"not {self.preprocess!r} and {self.augment!r}"
            )
        if not 0 < self.lr < math.inf or self.epochs < 1 or self.batch < 1:
            raise ValueError(f"lr, epochs and batch must be positive: {self.lr}, {self.epochs}, {self.batch}")
        if self.epoch_images is not None and not (isinstance(self.epoch_images, int) and self.epoch_images >= 1):
            raise ValueError(f"epoch_images must be a positive whole number, not {self.epoch_images!r}")
        if not isinstance(self.lr_drops, Sequence) or not all(isinstance(drop, int) for drop in self.lr_drops):
            raise ValueError(f"lr_drops must be a list of whole numbers, not {self.lr_drops!r}")
        object.__setattr__(self, "lr_drops", tuple(self.lr_drops))  # a list, as it may be written, cannot be hashed
        drops = list(self.lr_drops)
        if drops != sorted(set(drops)) or not all(0 <= drop < self.epochs for drop in drops):
            raise ValueError(f"lr_drops must rise from 0 or more to below {self.epochs} epochs, not {self.lr_drops}")
        decays = (self.weight_decay, self.lr_decay)
        if not 0 <= self.momentum < 1 or not all(0 <= decay < math.inf for decay in decays):
            raise ValueError(
                f"out of range: momentum {self.momentum}, weight_decay {self.weight_decay} or lr_decay {self.lr_decay}"
            )
        if self.initialization not in INITIALIZATIONS:
            raise ValueError(f"initialization must be one of {INITIALIZATIONS}, not {self.initialization!r}")
        if not math.isfinite(self.score_bias):
            raise ValueError(f"score_bias must be a finite number, not {self.score_bias}")
        if not 0 <= self.plain_epochs <= self.epochs:
            raise ValueError(f"plain_epochs must lie between 0 and {self.epochs}, not {self.plain_epochs}")
        if self.streams < 1 or (self.streams > 1 and self.copies > 1):
            raise ValueError(f"streams must be 1 or more, and 1 beside flipped copies, not {self.streams}")

    def lr_at(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.lr * 0.1 ** sum(epoch >= drop for drop in self.lr_drops) * math.exp(-self.lr_decay * epoch)

    def images_an_epoch(self, train: int) -> int:
        """Images that an epoch shows, of `train` in the training set."""
        return self.epoch_images or train * self.copies

    @property
    def copies(self) -> int:
        """How often a pass over the training set holds each image."""
        return 2 if isinstance(self.augment, Shift) and self.augment.flip == "copies" else 1

    def augment_at(self, epoch: int) -> Augment | None:
        """How the training images of an epoch are varied, if they are."""
        return None if epoch >= self.epochs - self.plain_epochs else self.augment


LEARNING_RATES = (0.25, 0.1, 0.05, 0.01)  # section 3.1: searched for every network
CIFAR = Recipe(lr=0.05, initialization="xavier")  # chosen by study `readings` (READING.md)
CIFAR_AUGMENTED = replace(CIFAR, augment=Shift())

# Appendix, Table 6: 450,000 updates of 64 images, the rate divided by 10 after every 200,000; an epoch is 1,000.
# Momentum, initialization, crops, scaling and the order of images are not stated (READING.md).
IMAGENET = Recipe(
    lr=0.01,
    epochs=450,
    epoch_images=64_000,
    lr_drops=(200, 400),
    batch=64,
    weight_decay=0.0005,
    initialization="xavier",
    preprocess=Scale(subtract=(123.0, 117.0, 104.0)),
    augment=Crop(),
    streams=8,
)

# Table 5 has no recipe: this is that of Graham's code for its network with pooling, as a stand-in (READING.md). There a
# rate of 0.003 is multiplied by 1 - momentum and meets gradients summed over the batch: here 0.003 * (1 - 0.99) * 50.
LARGE = Recipe(
    lr=0.0015,
    epochs=410,
    lr_drops=(),
    lr_decay=0.01,
    batch=50,
    momentum=0.99,
    nesterov=True,
    weight_decay=0.0,
    initialization="glorot",
    preprocess=Scale(),
    augment=Distort(),
    plain_epochs=10,
)
