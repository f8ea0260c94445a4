"""Tables 1 and 2 (the twelve CIFAR networks), Table 5 (the large one), Table 6 (ImageNet), and what the text varies."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from pipeline.errors import known_name
from pipeline.paper.layers import Conv, Dropout, Layer, Pool


@dataclass(frozen=True)
class Network:
    """A table of layers over a square image; global average pooling and softmax follow the last one."""

    name: str
    side: int  # pixels
    layers: tuple[Layer, ...]
    channels: int = 3  # of the image

    def __post_init__(self):
        object.__setattr__(self, "layers", tuple(self.layers))  # a list, as it may be written, cannot be hashed

    @property
    def classes(self) -> int:
        return self.convs[-1].width

    @property
    def convs(self) -> tuple[Conv, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, Conv))


BASE: dict[str, tuple[Layer, ...]] = {
    # Table 1   block 1                           block 2
    "a": (Conv(5, 96),              Pool(),  Conv(5, 192),               Pool()),
    "b": (Conv(5, 96), Conv(1, 96), Pool(),  Conv(5, 192), Conv(1, 192), Pool()),
    "c": (Conv(3, 96), Conv(3, 96), Pool(),  Conv(3, 192), Conv(3, 192), Pool()),
}  # fmt: skip

# Table 1, below the second pooling; the first is unpadded, which alone gives the 6x6 maps of the table (READING.md)
HEAD = (Conv(3, 192, pad=0), Conv(1, 192), Conv(1, 10))


def strided(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Every pool is removed and the stride of the convolution before it raised by one (section 2.1)."""
    out: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Pool):
            before = _conv_before(out)
            out[-1] = replace(before, stride=before.stride + 1)
        else:
            out.append(layer)
    return tuple(out)


def conv_pool(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Every pool gets a dense convolution of its size and as wide as the layer below placed before it (Table 2)."""
    out: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Pool):
            out.append(Conv(layer.size, _conv_before(out).width))
        out.append(layer)
    return tuple(out)


def all_conv(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Every pool becomes a convolution of its size and stride, as wide as the layer below (section 2.1)."""
    out: list[Layer] = []
    for layer in layers:
        is_pool = isinstance(layer, Pool)
        out.append(Conv(layer.size, _conv_before(out).width, layer.stride) if is_pool else layer)
    return tuple(out)


def with_dropout(
    layers: tuple[Layer, ...], image: float = 0.2, pooled: float = 0.5, extra: Callable[[Conv], bool] = lambda _: False
) -> tuple[Layer, ...]:
    """Dropout on the image and after every pool or the layer that stands in for one (section 3.1).

    `extra` names further convolutions to drop after as much; never after the last one, whose outputs are the scores.
    """
    out: list[Layer] = [Dropout(image)] if image else []
    bare = [layer for layer in layers if not isinstance(layer, Dropout)]
    for place, layer in enumerate(bare, 1):
        out.append(layer)
        also = isinstance(layer, Conv) and place < len(bare) and extra(layer)
        if pooled and (layer.stride > 1 or also):
            out.append(Dropout(pooled))
    return tuple(out)


def with_kernel(network: Network, size: int, other: int) -> Network:
    """Every padded convolution of one size gets another, odd one, so that its map keeps its side."""

    def changed(layer: Layer) -> Layer:
        same = isinstance(layer, Conv) and layer.size == size and layer.pad is None
        return replace(layer, size=other) if same else layer

    return replace(network, layers=tuple(changed(layer) for layer in network.layers))


def narrow(network: Network, by: int | Fraction) -> Network:
    """The same network with every width but the number of classes divided by `by`, a whole number or a fraction."""
    *body, last = network.convs
    if any(conv.width % by for conv in body):
        raise ValueError(f"the widths of {network.name} cannot be divided by {by}")
    thin = iter([*(replace(conv, width=conv.width // by) for conv in body), last])
    return replace(network, layers=tuple(next(thin) if isinstance(layer, Conv) else layer for layer in network.layers))


def for_classes(network: Network, classes: int) -> Network:
    """The same network for another number of classes."""
    return _with_last(network, width=classes)


def fully_connected(network: Network) -> Network:
    """The head's first 1x1 sees its whole 6x6 map at once, so that both 1x1 become fully connected layers."""
    *body, one, last = network.layers
    assert isinstance(one, Conv)
    return replace(network, layers=(*body, replace(one, size=6, pad=0), last))


def padded_head(network: Network) -> Network:
    """The head's first 3x3 keeps its map: 8x8 before averaging, as most reimplementations have it."""

    def kept(layer: Layer) -> Layer:
        return replace(layer, pad=None) if isinstance(layer, Conv) and layer.pad == 0 and layer.size == 3 else layer

    return replace(network, layers=tuple(kept(layer) for layer in network.layers))


def unrectified_scores(network: Network) -> Network:
    """No ReLU after the last 1x1, as some reimplementations have it."""
    return _with_last(network, relu=False)


def with_pools(network: Network) -> Network:
    """Every stride of 2 undone and 2x2 max-pooling put in its place; the weights fit both (section 3.4)."""
    out: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Conv) and layer.stride == 2:
            out += [replace(layer, stride=1), Pool(2, 2)]
        else:
            out.append(layer)
    return replace(network, name=f"{network.name}-pooled", layers=tuple(out))


def large_all_cnn(slope: float = 1 / 3, drop_inputs: bool = False) -> Network:
    """Table 5 over 126x126 pixels, all unpadded, down to 1x1; the linear map to 10 scores is Graham's softmax layer.

    `slope` of the leaky ReLU is Graham's. The table's dropout stands beside a layer: on its output, or its input.
    """
    rows = [(2, width, stride, drop if stride == 1 else 0)
            for drop, width in ((0, 320), (0.1, 640), (0.2, 960), (0.3, 1280), (0.4, 1600))
            for stride in (1, 1, 2)] + [(2, 1920, 1, 0.5), (1, 1920, 1, 0.5)]  # fmt: skip
    out: list[Layer] = []
    for size, width, stride, drop in rows:
        row = [Conv(size, width, stride, pad=0, slope=slope), *([Dropout(drop)] if drop else [])]
        out += reversed(row) if drop_inputs else row
    return Network("large-all-cnn", 126, (*out, Conv(1, 10, relu=False)))


def _with_last(network: Network, **changes) -> Network:
    *body, last = network.layers
    return replace(network, layers=(*body, replace(last, **changes)))


def _conv_before(layers: list[Layer]) -> Conv:
    if not layers or not isinstance(layers[-1], Conv):
        raise ValueError("a pool can only be rewritten when a convolution stands right before it")
    return layers[-1]


# the columns of Table 3, in the paper's order
VARIANTS = {"model": tuple, "strided-cnn": strided, "convpool-cnn": conv_pool, "all-cnn": all_conv}

TWELVE = {
    f"{variant}-{family}": Network(f"{variant}-{family}", 32, with_dropout(rewrite(BASE[family]) + HEAD))
    for family in BASE
    for variant, rewrite in VARIANTS.items()
}


def _ablations() -> dict[str, Network]:
    connected = [replace(fully_connected(TWELVE[name]), name=f"{name}-fc")
                 for name in ("model-a", "model-b", "model-c", "all-cnn-c")]  # fmt: skip
    c = TWELVE["all-cnn-c"]
    dropped = [
        replace(c, name="all-cnn-c-dropout-all", layers=with_dropout(c.layers, extra=lambda conv: True)),
        replace(c, name="all-cnn-c-dropout-1x1", layers=with_dropout(c.layers, extra=lambda conv: conv.size == 1)),
    ]
    reimplemented = [
        replace(padded_head(c), name="all-cnn-c-8x8"),
        replace(unrectified_scores(c), name="all-cnn-c-linear-scores"),
    ]
    return {network.name: network for network in (*connected, *dropped, *reimplemented)}


ABLATIONS = _ablations()
LARGE = large_all_cnn()
IMAGENET = Network(
    "imagenet-all-cnn-b",
    224,
    # Table 6, conv1 to conv12; the padding that leads to the 6x6 before averaging is ours (READING.md)
    (Conv(11, 96, 4, pad=2), Conv(1, 96), Conv(3, 96, 2, pad=0),
     Conv(5, 256), Conv(1, 256), Conv(3, 256, 2, pad=0),
     Conv(3, 384), Conv(1, 384), Conv(3, 384, 2, pad=0), Dropout(0.5),
     Conv(3, 1024), Conv(1, 1024), Conv(1, 1000)),
)  # fmt: skip
IMAGENET_POOLED = with_pools(IMAGENET)

NETWORKS = TWELVE | ABLATIONS | {network.name: network for network in (LARGE, IMAGENET, IMAGENET_POOLED)}

# how the paper prints the first words of a name (Tables 1 to 3, 5), and what is printed for the rest
_PRINTED = {"model": "Model ", "strided-cnn": "Strided-CNN-", "convpool-cnn": "ConvPool-CNN-", "all-cnn": "All-CNN-"}
_PRINTED_VARIANTS = {
    "": "",
    "fc": ", fully connected head",
    "dropout-all": ", dropout on all layers",
    "dropout-1x1": ", dropout on 1x1 layers",
    "8x8": ", 8x8 head",
    "linear-scores": ", no ReLU on the scores",
}


def _printed_names() -> dict[str, str]:
    families = {f"{key}-{x}": f"{text}{x.upper()}" for key, text in _PRINTED.items() for x in BASE}
    small = {
        "-".join(filter(None, (name, key))): text + remark
        for name, text in families.items()
        for key, remark in _PRINTED_VARIANTS.items()
    }
    return small | {
        LARGE.name: "Large-All-CNN",
        IMAGENET.name: "All-CNN-B for ImageNet",
        IMAGENET_POOLED.name: "All-CNN-B for ImageNet, max-pooling",
    }


PRINTED_NAMES = {name: text for name, text in _printed_names().items() if name in NETWORKS}


def printed_name(name: str) -> str:
    """The name as the paper prints it: "All-CNN-C" for "all-cnn-c"; a name that is not the paper's as it is."""
    return PRINTED_NAMES.get(name, name)


def find_network(name: str) -> Network:
    """The network of that name in any case, ours or the one that the paper prints; UserError where there is none."""
    printed = {text.lower(): key for key, text in PRINTED_NAMES.items()}
    return NETWORKS[printed.get(name.strip().lower()) or known_name("network", name, NETWORKS)]
