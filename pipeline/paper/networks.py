"""Table 1 as written, the three rewrites of Table 2, and the twelve CIFAR-10 networks they make."""

from dataclasses import dataclass, replace

from pipeline.paper.layers import Conv, Drop, Layer, Pool


@dataclass(frozen=True)
class Network:
    """A table of layers over a square image; global average pooling and softmax follow the last one."""

    name: str
    side: int  # pixels
    layers: tuple[Layer, ...]
    channels: int = 3  # of the image

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


def with_dropout(layers: tuple[Layer, ...], image: float = 0.2, pooled: float = 0.5) -> tuple[Layer, ...]:
    """Dropout on the image and after every pool or the layer that stands in for one (section 3.1)."""
    out: list[Layer] = [Drop(image)] if image else []
    for layer in layers:
        if isinstance(layer, Drop):
            continue
        out.append(layer)
        if pooled and layer.stride > 1:
            out.append(Drop(pooled))
    return tuple(out)


def narrow(network: Network, by: int) -> Network:
    """The same network with every width but the number of classes divided by `by`."""
    *body, last = network.convs
    if any(conv.width % by for conv in body):
        raise ValueError(f"the widths of {network.name} cannot be divided by {by}")
    thin = {id(conv): replace(conv, width=conv.width // by) for conv in body} | {id(last): last}
    return replace(network, layers=tuple(thin.get(id(layer), layer) for layer in network.layers))


def _conv_before(layers: list[Layer]) -> Conv:
    if not layers or not isinstance(layers[-1], Conv):
        raise ValueError("a pool can only be rewritten when a convolution stands right before it")
    return layers[-1]


# the columns of Table 3, in the paper's order
VARIANTS = {"model": tuple, "strided-cnn": strided, "convpool-cnn": conv_pool, "all-cnn": all_conv}

NETWORKS = {
    f"{variant}-{family}": Network(f"{variant}-{family}", 32, with_dropout(rewrite(BASE[family]) + HEAD))
    for family in BASE
    for variant, rewrite in VARIANTS.items()
}
