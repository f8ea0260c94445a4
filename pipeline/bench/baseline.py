"""The plain PyTorch training loop that ours is compared with, as a tutorial would write it, in float32.

torchvision's RandomCrop, RandomHorizontalFlip, ToTensor and Normalize run on one image at a time, and a DataLoader
stacks the batch. Model, dropout and loss are torch.nn's, the optimizer is torch.optim.SGD; tensors are contiguous NCHW.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset

from pipeline.paper.layers import Conv, Dropout, Pool
from pipeline.paper.networks import Network
from pipeline.paper.recipes import Recipe

PIXELS = 5  # largest translation along each axis


class Samples(Dataset):
    """Pairs of image (3, H, W) float32 and label; images are shifted by up to PIXELS and half of them mirrored.

    `images` are (N, 3, H, W) float32, normalized, and `labels` (N,).
    """

    def __init__(self, images: Tensor, labels: Tensor):
        self.labels = labels.tolist()
        self.images, self.vary = _torchvision(images) or (list(images), _varied)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.vary(self.images[index]), self.labels[index]


def _torchvision(images: Tensor) -> tuple[list[Any], Callable[[Any], Tensor]] | None:
    """The images as PIL images, and torchvision's augmentation of one; None where torchvision is not installed."""
    try:
        from torchvision import transforms
        from torchvision.transforms.functional import to_pil_image
    except ImportError:
        return None
    bytes_NCHW = (images * 64 + 128).clamp(0, 255).byte()
    return [to_pil_image(image) for image in bytes_NCHW], transforms.Compose(
        [
            transforms.RandomCrop(images.shape[-1], padding=PIXELS),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        ]
    )


def _varied(image: Tensor) -> Tensor:
    """The same augmentation in torch operations on a normalized tensor, which is faster."""
    high, wide = image.shape[-2:]
    image = pad(image, [PIXELS] * 4)
    top, left = (int(torch.randint(2 * PIXELS + 1, (1,))) for _ in range(2))
    image = image[:, top : top + high, left : left + wide]
    return image.flip(-1) if torch.rand(1) < 0.5 else image


class Loop:
    """Endless training, one step per call; `workers` processes of the DataLoader load the images (0: this process)."""

    def __init__(self, network: Network, recipe: Recipe, images: Tensor, labels: Tensor, device: str, workers: int = 0):
        self.device = device
        self.model = modules(network).to(device)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        samples = Samples(images, labels)
        loader = DataLoader(samples, recipe.batch, shuffle=True, drop_last=True, num_workers=workers)
        self.batches = _for_ever(loader)

    def step(self) -> int:
        """One update; returns the number of images in the batch."""
        images, labels = next(self.batches)
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(images.to(self.device)), labels.to(self.device))
        loss.backward()
        self.optimizer.step()
        return len(labels)


def _for_ever(loader: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
    """A function rather than a method of Loop: without a reference to it, the loader's processes end with the loop."""
    while True:
        yield from loader


def modules(network: Network) -> nn.Sequential:
    """The network in torch.nn's modules: images (B, channels, side, side) -> class scores (B, classes)."""
    out: list[nn.Module] = []
    channels = network.channels
    for layer in network.layers:
        match layer:
            case Conv():
                out.append(nn.Conv2d(channels, layer.width, layer.size, layer.stride, layer.padding))
                out.append(nn.LeakyReLU(layer.slope) if layer.slope else nn.ReLU())
                channels = layer.width
            case Pool():
                out.append(nn.MaxPool2d(layer.size, layer.stride, ceil_mode=True))
            case Dropout():
                out.append(nn.Dropout(layer.p))
    return nn.Sequential(*out, nn.AdaptiveAvgPool2d(1), nn.Flatten())
