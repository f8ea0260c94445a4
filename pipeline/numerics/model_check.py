"""The check before training that a model computes what its network's table of layers says."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, max_pool2d

from pipeline.errors import UserError
from pipeline.numerics.dropout import KeyedDropout, begin_batch, dropouts, epoch_keys
from pipeline.paper.layers import Conv, Dropout, Layer, Pool
from pipeline.paper.networks import Network
from pipeline.paper.shapes import Step, steps

KINDS = {Conv: nn.Conv2d, Pool: nn.MaxPool2d, Dropout: KeyedDropout}
NEAR = 1e-3  # largest difference between a layer's output and its expected output, as a share of the largest value


class Leaf(NamedTuple):
    """One call of a module without children."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]  # of the output, without the batch dimension
    out: Tensor  # with the batch dimension


def check_model(model: nn.Module, network: Network) -> None:
    """Raise a UserError that names the layer unless the model computes what the network's table says.

    Compared are the number of parameters and the output shape of every layer, kernel sizes and strides, dropout
    probabilities, and the ReLU with its slope after each convolution that has one. No weights may be shared or unused.
    Two evaluation passes over a random image must be equal bit for bit. In evaluation and in training mode, each
    layer's output is compared with what the table's layer computes from the previous layer's output, which also finds
    operations between the modules; the class scores must be the averages of the last maps. The model is left as it was.
    """
    was_training = model.training
    model.eval()
    try:
        image = torch.randn(1, network.channels, network.side, network.side, generator=torch.Generator().manual_seed(0))
        image = image.to(next(model.parameters()).device)
        leaves, first = _walk(model, image)
        with torch.no_grad():
            if not torch.equal(first, model(image)):
                raise _refused(network, "two evaluation passes differ: some layer is random while it is evaluated")
            _layers(leaves, network)
            _distinct(model, leaves, network)
            _values(leaves, first, network, image)
            model.train()
            begin_batch(model, epoch_keys(0, 0, len(dropouts(model)), 1).to(image.device))
            _values(*_walk(model, image), network, image)
    finally:
        for module in dropouts(model):
            module.keys_B = None
        model.train(was_training)


@torch.no_grad()
def _walk(model: nn.Module, image: Tensor) -> tuple[list[Leaf], Tensor]:
    """The calls of all modules without children, in the order of one forward pass, and the model's output."""
    seen: list[Leaf] = []
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, _given: object, out: Tensor) -> None:
        seen.append(Leaf(names[module], module, tuple(out.shape[1:]), out.clone()))

    hooks = [module.register_forward_hook(note) for module in names if not list(module.children())]
    try:
        return seen, model(image)
    finally:
        for hook in hooks:
            hook.remove()


def _layers(leaves: list[Leaf], network: Network) -> None:
    """Compare the rows of the table with the modules that were called, in order."""
    called = iter(leaves)
    for number, step in enumerate(steps(network), 1):
        row = f"layer {number} of the table ({_words(step)})"
        leaf = next(called, None)
        if leaf is None:
            raise _refused(network, f"{row} is missing: the model ends before it")
        problem = _differs(leaf, step)
        if problem:
            raise _refused(network, f"{row} is not what {leaf.name!r} does: {problem}")
        if isinstance(step.layer, Conv) and step.layer.relu:
            rectifier = next(called, None)
            if rectifier is None or _slope(rectifier.module) != step.layer.slope:
                found = f"{type(rectifier.module).__name__} {rectifier.name!r}" if rectifier else "nothing"
                raise _refused(network, f"behind {row}, {leaf.name!r}, a ReLU is missing: {found} follows")
    for leaf in called:
        if any(True for _ in leaf.module.parameters()) or leaf.shape != (network.classes,):
            raise _refused(network, f"{leaf.name!r} ({type(leaf.module).__name__}) is behind the table's last row")


def _values(leaves: list[Leaf], scores: Tensor, network: Network, image: Tensor) -> None:
    """Compare each layer's output with what its row of the table computes from the previous layer's output."""
    called, x = iter(leaves), image
    for number, step in enumerate(steps(network), 1):
        leaf = next(called)
        where = f"behind layer {number} of the table ({_words(step)}), {leaf.name!r},"
        _near(leaf.out, _expected(step.layer, leaf, x), network, where)
        x = leaf.out
        if isinstance(step.layer, Conv) and step.layer.relu:
            leaf = next(called)
            _near(leaf.out, leaky_relu(x, step.layer.slope), network, where)
            x = leaf.out
    _near(scores, x.mean((2, 3)), network, "for the scores, the average of the last maps,")


def _expected(layer: Layer, leaf: Leaf, x: Tensor) -> Tensor:
    """What a row of the table computes from `x`, with its module's weights and the values that its dropout kept."""
    match layer:
        case Conv():
            assert isinstance(leaf.module, nn.Conv2d)
            return conv2d(x, leaf.module.weight, leaf.module.bias, layer.stride, layer.padding)
        case Pool():
            return max_pool2d(x, layer.size, layer.stride, ceil_mode=True)
        case Dropout():
            return x / (1 - layer.p) * (leaf.out != 0) if leaf.module.training else x


def _near(found: Tensor, expected: Tensor, network: Network, where: str) -> None:
    if found.shape != expected.shape or not (found - expected).abs().max() <= NEAR * expected.abs().max():
        raise _refused(network, f"{where} other values come out than the table's layers give")


def _differs(leaf: Leaf, step: Step) -> str:
    """How the module differs from its row of the table, in words; empty if it does not."""
    module, shape = leaf.module, leaf.shape
    if not isinstance(module, KINDS[type(step.layer)]):
        return f"it is a {type(module).__name__}"
    count = sum(p.numel() for p in module.parameters())
    if count != step.parameters:
        return f"it has {count:,} parameters, the table {step.parameters:,}"
    if shape != (step.channels, step.side, step.side):
        return f"its output is {_times(shape)}, the table's {_times((step.channels, step.side, step.side))}"
    return _setting(module, step)


def _setting(module: nn.Module, step: Step) -> str:
    """How kernel size and stride, or the dropout probability, differ: shapes and parameters need not show it."""
    layer = step.layer
    if isinstance(layer, Dropout):
        return "" if module.p == layer.p else f"it drops {module.p}, the table {layer.p}"
    found = (_one(getattr(module, "kernel_size", None)), _one(getattr(module, "stride", None)))
    return "" if found == (layer.size, layer.stride) else f"its size and stride are {found}"


def _distinct(model: nn.Module, leaves: list[Leaf], network: Network) -> None:
    """Check that no module with weights is called twice, and that no weights are shared or unused."""
    owner: dict[int, str] = {}
    called: set[int] = set()
    for name, module, *_ in leaves:
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
        case Dropout(p=share):
            return f"dropout {share:g}"


def _refused(network: Network, why: str) -> UserError:
    return UserError(f"the model is not {network.name}: {why}. Nothing was trained.")
