"""What a Python file of your own imports: studies of your own networks and data, and maps of your own images.

docs/own-studies.md, docs/own-data.md and docs/own-images.md show how. `strive networks` lists the networks, `DATASETS`
the data sets. Nothing here imports torch or numpy before it is called.
"""

from dataclasses import replace as replace
from typing import TYPE_CHECKING

from pipeline.paper.augmentations import Crop as Crop
from pipeline.paper.augmentations import Distort as Distort
from pipeline.paper.augmentations import Shift as Shift
from pipeline.paper.layers import Conv as Conv
from pipeline.paper.layers import Dropout as Dropout
from pipeline.paper.layers import Pool as Pool
from pipeline.paper.networks import BASE as BASE
from pipeline.paper.networks import HEAD as HEAD
from pipeline.paper.networks import Network as Network
from pipeline.paper.networks import all_conv as all_conv
from pipeline.paper.networks import conv_pool as conv_pool
from pipeline.paper.networks import find_network as find_network
from pipeline.paper.networks import fully_connected as fully_connected
from pipeline.paper.networks import narrow as narrow
from pipeline.paper.networks import padded_head as padded_head
from pipeline.paper.networks import strided as strided
from pipeline.paper.networks import unrectified_scores as unrectified_scores
from pipeline.paper.networks import with_dropout as with_dropout
from pipeline.paper.networks import with_kernel as with_kernel
from pipeline.paper.networks import with_pools as with_pools
from pipeline.paper.recipes import CIFAR as CIFAR
from pipeline.paper.recipes import CIFAR_AUGMENTED as CIFAR_AUGMENTED
from pipeline.paper.recipes import Recipe as Recipe
from pipeline.paper.recipes import Scale as Scale
from pipeline.paper.recipes import Whiten as Whiten
from pipeline.plan.datasets import DATASETS as DATASETS
from pipeline.plan.datasets import Dataset as Dataset
from pipeline.plan.own_claims import Printed as Printed
from pipeline.plan.own_claims import alike as alike
from pipeline.plan.own_claims import better as better
from pipeline.plan.own_claims import no_worse as no_worse
from pipeline.plan.own_claims import worse as worse
from pipeline.plan.own_study import OwnStudy as OwnStudy
from pipeline.plan.own_study import at_width as at_width
from pipeline.plan.own_study import named as named
from pipeline.plan.usual import DIGITS as DIGITS
from pipeline.plan.usual import with_epochs as with_epochs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.visualization.own_images import Looker

network = find_network  # network("all-cnn-c")


def imagefolder(folder: str, side: int = 32, name: str | None = None) -> Dataset:
    """Photographs as FOLDER/{train,val}/CLASS/FILE, resized to `side` pixels."""
    from pipeline.data.own_data import own_dataset

    return own_dataset(f"imagefolder:{folder}", side, name)


def npz(file: str, name: str | None = None) -> Dataset:
    """Arrays train_images, train_labels, test_images and test_labels (or Keras's names) in a .npz file."""
    from pipeline.data.own_data import own_dataset

    return own_dataset(f"npz:{file}", name=name)


def cifar_files(folder: str, name: str | None = None) -> Dataset:
    """Pickles as CIFAR's: data_batch_1 and on with test_batch, or train with test."""
    from pipeline.data.own_data import own_dataset

    return own_dataset(f"cifar:{folder}", name=name)


def look(run: str, store: str | None = None) -> "Looker":
    """A finished run by the beginning of its id, to look at images with: look(run).look("photo.png")."""
    from pipeline.runtime.settings import settings
    from pipeline.store import catalogue
    from pipeline.store.objects import LOOK_SECONDS, open_store
    from pipeline.visualization import own_images

    opened = open_store(settings(store).store, LOOK_SECONDS)
    return own_images.of_run(opened, catalogue.find(opened, run).id)


def maps(model: "nn.Module", images: "Tensor", classes: "Tensor | None" = None, method: str = "guided") -> "Tensor":
    """Saliency maps (N, C, H, W) of any torch model's class scores; of each image's best class unless `classes` (N,)
    names others. UserError, naming the layer, where a ReLU is not a module."""
    from pipeline.numerics.saliency import attribution

    return attribution.maps(model, images, attribution.Target(classes), method)
