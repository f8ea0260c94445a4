"""Your weights for one of the paper's networks, from .safetensors or .pth. No file is ever run as a program."""

import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import islice, permutations
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.numerics.model import build
from pipeline.paper.networks import Network, find_network, for_classes, narrow

MOST_ORDERS = 120  # in which the parts of a model are tried
NESTED = ("state_dict", "model_state_dict", "model", "net")  # where training programs keep the weights in a checkpoint


Pairs = list[tuple[str, Tensor, Tensor | None]]  # name and tensor of a convolution's weights, and its biases


def load_weights(name: str, file: Path, side: int | None = None) -> tuple[Network, nn.Module]:
    """The network at the width and for the classes that the weights have, and its model with them.

    Weights are taken by name where the names are ours, else in their order. UserError, naming the layer, where they are
    of another network, and where the file is none or would run a program.
    """
    tensors = _tensors(file)
    pairs = _pairs(tensors, in_order=file.suffix != ".safetensors")
    if not pairs:
        raise UserError(f"{file} holds no weights of convolutions")
    network = _sized(find_network(name), pairs)
    network = replace(network, side=side) if side else network
    model = build(network)
    convs = [(at, module) for at, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    if len(convs) != len(pairs):
        raise UserError(f"{network.name} has {len(convs)} convolutions, and {file} weights of {len(pairs)}")
    with torch.no_grad():
        for (layer, conv), (theirs, weight, bias) in zip(convs, pairs, strict=True):
            _set(file, network, layer, conv, theirs, weight, bias)
    return network, model.eval()


def _set(file: Path, network: Network, layer: str, conv: nn.Conv2d, theirs: str, weight: Tensor, bias: Tensor | None):
    if conv.weight.shape != weight.shape:
        raise UserError(
            f"layer {layer!r} of {network.name} has weights of {_times(conv.weight)}, and {file} has {theirs!r} of "
            f"{_times(weight)}"
        )
    conv.weight.copy_(weight)
    assert conv.bias is not None
    if bias is not None and bias.shape != conv.bias.shape:
        raise UserError(f"layer {layer!r} of {network.name} has {len(conv.bias)} biases, and {file} {_times(bias)}")
    conv.bias.copy_(torch.zeros_like(conv.bias) if bias is None else bias)


def _tensors(file: Path) -> dict[str, Tensor]:
    """Every tensor in the file by name, as float32."""
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    try:
        found: dict[str, Any] = load_file(file) if file.suffix == ".safetensors" else _unpickled(file)
    except UserError:
        raise
    except Exception as error:  # damaged files raise what their readers happen to raise
        why = next(iter(str(error).splitlines()), "")
        why = why if isinstance(error, OSError | RuntimeError | SafetensorError) and why else "it is no such file"
        raise UserError(f"{file} cannot be read as weights, of torch.save or .safetensors: {why}") from error
    while inner := next((found[key] for key in NESTED if isinstance(found.get(key), dict)), None):
        found = inner
    return {str(name).removeprefix("module."): t.float() for name, t in found.items() if isinstance(t, Tensor)}


def _unpickled(file: Path) -> dict:
    """What a .pth file holds, read by torch's reader that calls nothing."""
    try:
        with warnings.catch_warnings():  # of a pickle's age: what it holds is looked at anyway
            warnings.simplefilter("ignore")
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{file} holds more than weights, and reading it could run a program: save the weights alone, "
            "torch.save(model.state_dict(), FILE), or as .safetensors"
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"{file} holds a {type(found).__name__}, not a state_dict: save model.state_dict()")
    return found


def _pairs(tensors: dict[str, Tensor], in_order: bool) -> Pairs:
    """Weights of convolutions with their biases, in order; those of linear layers are 1x1 convolutions'."""
    out = []
    for name, tensor in tensors.items():
        if name.endswith("weight") and tensor.dim() in (2, 4) and tensor.numel():
            weight = tensor if tensor.dim() == 4 else tensor[:, :, None, None]
            out.append((name, weight, tensors.get(f"{name.removesuffix('weight')}bias")))
    return next((order for order in ([out] if in_order else _orders(out)) if _chained(order)), out)


def _orders(pairs: Pairs) -> Iterator[Pairs]:
    """By the numbers in their names, the parts of the model in any order: a .safetensors file forgets how they followed
    each other."""
    parts: dict[str, Pairs] = {}
    for pair in sorted(pairs, key=lambda pair: [int(n) for n in re.findall(r"\d+", pair[0])]):
        parts.setdefault(re.split(r"[.\d]", pair[0])[0], []).append(pair)
    for order in islice(permutations(parts.values()), MOST_ORDERS):
        yield [pair for part in order for pair in part]


def _chained(pairs: Pairs) -> bool:
    """Whether each takes as many channels as the one before it gives, the first those of an image."""
    channels = [3, *(len(weight) for _, weight, _ in pairs)]
    return all(weight.shape[1] == given for (_, weight, _), given in zip(pairs, channels, strict=False))


def _sized(network: Network, pairs: Pairs) -> Network:
    """The network at the width of the first weights, and with as many classes as the last have."""
    first, last = pairs[0][1], pairs[-1][1]
    with suppress(ValueError):  # of another network: the first layer that differs is named
        network = narrow(network, Fraction(network.convs[0].width, len(first)))
    return for_classes(network, len(last))


def _times(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))
