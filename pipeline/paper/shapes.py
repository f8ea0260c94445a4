"""Shapes, parameters and multiplications of a network, worked out from its table alone."""

from dataclasses import dataclass
from functools import cache

from pipeline.paper.layers import Conv, Dropout, Layer, Pool
from pipeline.paper.networks import Network


@dataclass(frozen=True)
class Step:
    """One layer of a network with what leaves it."""

    layer: Layer
    channels: int
    side: int  # pixels
    receptive: int  # pixels of the image, along a side, that one value sees
    jump: int  # pixels between what neighboring values see
    begin: int  # the first pixel that the first value sees; below 0 it is padding
    parameters: int  # weights and biases
    multiplications: int  # multiply-adds of one image, forward


def steps(network: Network) -> list[Step]:
    """Every layer in order with its output shape and cost; refuses a network whose maps vanish."""
    channels, side, out = network.channels, network.side, []
    receptive = jump = 1
    begin = 0
    for layer in network.layers:
        parameters = multiplications = 0
        if isinstance(layer, Conv):
            weights = layer.size**2 * channels * layer.width
            side = (side + 2 * layer.padding - layer.size) // layer.stride + 1
            channels, parameters = layer.width, weights + layer.width
            multiplications = weights * max(side, 0) ** 2
        elif isinstance(layer, Pool):
            before, side = side, -(-(side - layer.size) // layer.stride) + 1
            if (side - 1) * layer.stride >= before:  # a last window that would begin behind the map is left out
                side -= 1
        elif not isinstance(layer, Dropout):
            raise ValueError(f"{network.name} has a layer of no known kind: {layer}")
        if side < 1:
            raise ValueError(f"nothing is left of the {network.side} px image of {network.name} after {layer}")
        if not isinstance(layer, Dropout):
            begin -= layer.padding * jump if isinstance(layer, Conv) else 0
            receptive, jump = receptive + (layer.size - 1) * jump, jump * layer.stride
        out.append(Step(layer, channels, side, receptive, jump, begin, parameters, multiplications))
    return out


def multiplications(network: Network) -> int:
    """Multiply-adds of one image, forward."""
    return sum(step.multiplications for step in steps(network))


def parameters(network: Network) -> int:
    """Weights and biases of the whole network."""
    return sum(step.parameters for step in steps(network))


@cache
def training_flops(network: Network) -> int:
    """Floating-point operations of one image forward and backward; the image itself needs no gradient."""
    first, *rest = [step.multiplications for step in steps(network) if step.multiplications]
    return 2 * (2 * first + 3 * sum(rest))
