"""Guided-backpropagation maps per second, compared with captum's of the same network and images."""

import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from pipeline.errors import UserError, unknown_name
from pipeline.numerics.initialization import initialize
from pipeline.numerics.model import build
from pipeline.numerics.saliency.attribution import Target, maps
from pipeline.paper.networks import NETWORKS
from pipeline.visualization.explained_model import BATCH, BATCH_GPU

REPEATS = 3  # of each way, in turns; medians are reported
WAYS = ("captum, image by image", "captum, in batches", "strive, float32", "strive, bfloat16")


@dataclass(frozen=True)
class Speed:
    """The speed of one way to compute the maps, with one CPU thread, and its agreement with captum image by image."""

    way: str  # one of WAYS
    maps: int  # per repeat
    maps_per_second: float  # by wall-clock time
    maps_per_cpu_second: float
    times_captum: float  # CPU time of captum image by image, divided by that of this way
    difference: float  # largest absolute difference from captum's maps, as a share of their largest absolute value
    # Pearson correlation with captum's maps. In bfloat16 a few ReLUs switch, which changes single values a lot: this
    # shows better than `difference` how much the maps agree.
    correlation: float

    def plain(self) -> dict:
        return asdict(self)


def measure(network: str = "all-cnn-c", images: int = 32) -> list[Speed]:
    """Measure all WAYS on so many random images and on a network of the paper with random weights.

    UserError for an unknown network and if captum is not installed.
    """
    if network not in NETWORKS:
        raise unknown_name("network", network, NETWORKS)
    attribute = _captum()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build(NETWORKS[network])
    initialize(model, "he", 0, None)
    model = model.to(device).eval()
    torch.manual_seed(0)
    side, channels = NETWORKS[network].side, NETWORKS[network].channels
    pixels = torch.randn(images, channels, side, side, device=device).contiguous(memory_format=torch.channels_last)
    classes = torch.arange(images, device=device) % NETWORKS[network].classes
    batch = BATCH if device == "cpu" else BATCH_GPU
    ways: dict[str, Callable[[], Tensor]] = {
        WAYS[0]: lambda: _parts(lambda x, c: attribute(model, x, c), pixels, classes, 1),
        WAYS[1]: lambda: _parts(lambda x, c: attribute(model, x, c), pixels, classes, batch),
        WAYS[2]: lambda: _parts(lambda x, c: _ours(model, x, c), pixels, classes, batch),
        WAYS[3]: lambda: _bfloat16(model, pixels, classes, batch),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _speeds(ways, images)
    finally:
        torch.set_num_threads(threads)


def beside_captum(images: int, say: Callable[[str], None]) -> dict:
    """The speeds of all WAYS as a JSON value, with a line each to `say`; or the reason why they cannot be measured."""
    try:
        speeds = measure(images=images)
    except UserError as refused:
        say(f"saliency maps were not measured: {refused}")
        return {"why": str(refused)}
    for speed in speeds:
        rate = f"{speed.maps_per_cpu_second:,.0f} maps per CPU-second"
        say(f"guided backpropagation, {speed.way:22} {rate}, {speed.times_captum:.2f} times captum image by image")
    return {"ways": [speed.plain() for speed in speeds]}


def _speeds(ways: dict[str, Callable[[], Tensor]], images: int) -> list[Speed]:
    found = {way: call() for way, call in ways.items()}  # also a warm-up
    took: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(REPEATS):
        for way, call in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            took[way].append((time.perf_counter() - wall, time.process_time() - cpu))
    walls, cpus = ({way: statistics.median(t[n] for t in took[way]) for way in ways} for n in (0, 1))
    theirs = found[WAYS[0]]
    return [
        Speed(
            way,
            images,
            round(images / walls[way], 2),
            round(images / cpus[way], 2),
            round(cpus[WAYS[0]] / cpus[way], 3),
            float((found[way] - theirs).abs().max() / theirs.abs().max()),
            float(torch.corrcoef(torch.stack([found[way].flatten(), theirs.flatten()]))[0, 1]),
        )
        for way in ways
    ]


def _parts(call: Callable[[Tensor, Tensor], Tensor], pixels: Tensor, classes: Tensor, batch: int) -> Tensor:
    pairs = zip(pixels.split(batch), classes.split(batch), strict=True)
    return torch.cat([call(x, c).float() for x, c in pairs]).cpu()


def _ours(model: nn.Module, pixels: Tensor, classes: Tensor) -> Tensor:
    return maps(model, pixels, Target(classes), checked=True)


def _bfloat16(model: nn.Module, pixels: Tensor, classes: Tensor, batch: int) -> Tensor:
    with torch.autocast(pixels.device.type, torch.bfloat16):
        return _parts(lambda x, c: _ours(model, x, c), pixels, classes, batch)


def _captum() -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    try:
        from captum.attr import GuidedBackprop
    except ImportError as error:
        raise UserError("captum is not installed, and it is what is compared with: `uv sync` brings it") from error

    def attribute(model: nn.Module, pixels: Tensor, classes: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return GuidedBackprop(model).attribute(pixels, target=classes).detach()

    return attribute
