"""How the paper trains (section 3.1), as values. What it leaves open is a field whose reading is in READING.md."""

from dataclasses import dataclass, field

INITIALISATIONS = ("xavier", "he", "data-dependent")


@dataclass(frozen=True)
class Preprocess:
    """Global contrast normalisation and ZCA whitening as Goodfellow et al. (2013) did them, whom the paper follows."""

    gcn_scale: float = 55.0  # L2 norm of every image after contrast normalisation
    zca_ridge: float = 0.1  # added to the diagonal of the covariance
    input_scale: float = 1.0  # multiplies the whitened image; 1 on CIFAR

    def __post_init__(self):
        for name in ("gcn_scale", "zca_ridge", "input_scale"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


@dataclass(frozen=True)
class Recipe:
    """One way to train a network with stochastic gradient descent."""

    lr: float
    epochs: int = 350
    lr_drops: tuple[int, ...] = (200, 250, 300)  # epochs before which lr is multiplied by 0.1
    batch: int = 128  # images; not stated in the paper
    momentum: float = 0.9
    weight_decay: float = 0.001  # added to every gradient, biases included, as in Caffe
    initialise: str = "xavier"  # not stated in the paper
    preprocess: Preprocess = field(default_factory=Preprocess)

    def __post_init__(self):
        if self.lr <= 0 or self.epochs < 1 or self.batch < 1:
            raise ValueError(f"lr, epochs and batch must be positive: {self.lr}, {self.epochs}, {self.batch}")
        if list(self.lr_drops) != sorted(set(self.lr_drops)) or any(d >= self.epochs for d in self.lr_drops):
            raise ValueError(f"lr_drops must rise and stay below {self.epochs} epochs, not {self.lr_drops}")
        if not 0 <= self.momentum < 1 or self.weight_decay < 0:
            raise ValueError(f"momentum {self.momentum} or weight_decay {self.weight_decay} is out of range")
        if self.initialise not in INITIALISATIONS:
            raise ValueError(f"initialise must be one of {INITIALISATIONS}, not {self.initialise!r}")

    def lr_at(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.lr * 0.1 ** sum(epoch >= drop for drop in self.lr_drops)


LEARNING_RATES = (0.25, 0.1, 0.05, 0.01)  # section 3.1: searched for every network
CIFAR = Recipe(lr=0.05)
