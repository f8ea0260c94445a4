"""The gate before training: a live model held against the table it claims to be, layer by layer."""

import torch
from torch import Tensor, nn

from pipeline.paper.layers import Conv, Drop, Pool
from pipeline.paper.networks import Network
from pipeline.paper.refused import Refused
from pipeline.paper.shapes import Step, steps

Leaf = tuple[str, nn.Module, tuple[int, ...]]  # name, module, shape of what left it


def conform(model: nn.Module, network: Network) -> None:
    """Refused, naming the layer, unless the model computes what the network's table says.

    Held against the table: parameters and output shape of every convolution, no weights used twice, a rectifier (of
    the right slope) behind every convolution that has one, pools and dropout in their places, the maps averaged to
    one score a class, and two evaluation passes equal bit for bit. The model comes back as it was.
    """
    was_training = model.training
    model.eval()
    try:
        image = torch.randn(1, network.channels, network.side, network.side, generator=torch.Generator().manual_seed(0))
        image = image.to(next(model.parameters()).device)
        leaves, first = _walk(model, image)
        _layers(leaves, network)
        _distinct(model, leaves, network)
        with torch.no_grad():
            if not torch.equal(first, model(image)):
                raise _refused(network, "two evaluation passes differ: some layer is random while it is evaluated")
        if first.shape != (1, network.classes):
            raise _refused(network, f"an image gets {tuple(first.shape[1:])} scores, not {network.classes}")
    finally:
        model.train(was_training)


@torch.no_grad()
def _walk(model: nn.Module, image: Tensor) -> tuple[list[Leaf], Tensor]:
    """Every module without children, in the order of a forward pass."""
    seen: list[Leaf] = []
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, _given: object, out: Tensor) -> None:
        seen.append((names[module], module, tuple(out.shape[1:])))

    hooks = [module.register_forward_hook(note) for module in names if not list(module.children())]
    try:
        return seen, model(image)
    finally:
        for hook in hooks:
            hook.remove()


def _layers(leaves: list[Leaf], network: Network) -> None:
    """The table's rows against the modules that were called, one after the other."""
    called = iter(leaves)
    for number, step in enumerate(steps(network), 1):
        row = f"layer {number} of the table ({_words(step)})"
        leaf = next(called, None)
        if leaf is None:
            raise _refused(network, f"{row} is missing: the model ends before it")
        problem = _differs(leaf, step)
        if problem:
            raise _refused(network, f"{row} is not what {leaf[0]!r} does: {problem}")
        if isinstance(step.layer, Conv) and step.layer.rectify:
            rectifier = next(called, None)
            if rectifier is None or _slope(rectifier[1]) != step.layer.slope:
                found = f"{type(rectifier[1]).__name__} {rectifier[0]!r}" if rectifier else "nothing"
                raise _refused(network, f"behind {row}, {leaf[0]!r}, a ReLU is missing: {found} follows")
    for name, module, shape in called:
        if any(True for _ in module.parameters()) or shape != (network.classes,):
            raise _refused(network, f"{name!r} ({type(module).__name__}) is behind the table's last row")


def _differs(leaf: Leaf, step: Step) -> str:
    """What sets the module apart from the row; nothing when they agree."""
    _, module, shape = leaf
    kinds = {Conv: (nn.Conv2d,), Pool: (nn.MaxPool2d,), Drop: (nn.Module,)}
    if not isinstance(module, kinds[type(step.layer)]):
        return f"it is a {type(module).__name__}"
    count = sum(p.numel() for p in module.parameters())
    if count != step.parameters:
        return f"it has {count:,} parameters, the table {step.parameters:,}"
    if shape != (step.channels, step.side, step.side):
        return f"its output is {_times(shape)}, the table's {_times((step.channels, step.side, step.side))}"
    return _setting(module, step)


def _setting(module: nn.Module, step: Step) -> str:
    """Size and stride, which neither shape nor count show for sure."""
    layer = step.layer
    if isinstance(layer, Drop):
        share = getattr(module, "share", getattr(module, "p", None))
        return "" if share == layer.share else f"it drops {share}, the table {layer.share}"
    found = (_one(getattr(module, "kernel_size", None)), _one(getattr(module, "stride", None)))
    return "" if found == (layer.size, layer.stride) else f"its size and stride are {found}"


def _distinct(model: nn.Module, leaves: list[Leaf], network: Network) -> None:
    """As many weights as convolutions: none is called twice, and none shares its memory."""
    owner: dict[int, str] = {}
    called: set[int] = set()
    for name, module, _ in leaves:
        for parameter in module.parameters():
            other = owner.setdefault(parameter.data_ptr(), name)
            if other != name or id(module) in called:
                raise _refused(network, f"{name!r} shares its weights with {other!r}, or is used twice")
        called.add(id(module))
    idle = [name for name, parameter in model.named_parameters() if parameter.data_ptr() not in owner]
    if idle:
        raise _refused(network, f"{idle[0]!r} has weights that no image passes through")


def _slope(module: nn.Module) -> float | None:
    if isinstance(module, nn.ReLU):
        return 0.0
    return module.negative_slope if isinstance(module, nn.LeakyReLU) else None


def _one(value: object) -> object:
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _words(step: Step) -> str:
    match step.layer:
        case Conv(size=size, width=width):
            return f"{size}x{size} conv. {width}"
        case Pool(size=size):
            return f"{size}x{size} max-pooling"
        case Drop(share=share):
            return f"dropout {share:g}"


def _refused(network: Network, why: str) -> Refused:
    return Refused(f"the model is not {network.name}: {why}. Nothing was trained.")
