"""The units of a network by the names of section 3.4, and the pixels that each sees."""

from dataclasses import dataclass

from pipeline.errors import unknown_name
from pipeline.paper.layers import Conv
from pipeline.paper.networks import Network
from pipeline.paper.shapes import Step, steps


@dataclass(frozen=True)
class ReceptiveField:
    """A convolution with its ReLU, conv1 the first of them; its units are what leaves it."""

    name: str
    number: int  # of its row in the network's table, from 1
    conv: Conv
    step: Step

    def box(self, place: tuple[int, int]) -> tuple[int, int, int]:
        """Top, left and side of the square of pixels that the unit at (row, column) sees; may reach into padding."""
        row, column = place
        begin, jump = self.step.begin, self.step.jump
        return begin + row * jump, begin + column * jump, self.step.receptive

    @property
    def middle(self) -> tuple[int, int]:
        """The place of the unit in the middle of the map."""
        return self.step.side // 2, self.step.side // 2


def receptive_fields(network: Network) -> dict[str, ReceptiveField]:
    """Every convolution by its name, the last being the one whose maps are averaged to the class scores."""
    rows = [(number, s, s.layer) for number, s in enumerate(steps(network), 1) if isinstance(s.layer, Conv)]
    found = [ReceptiveField(f"conv{count}", number, conv, step) for count, (number, step, conv) in enumerate(rows, 1)]
    return {layer.name: layer for layer in found}


def receptive_field(network: Network, name: str) -> ReceptiveField:
    """The layer of that name; refused with the nearest ones."""
    known = receptive_fields(network)
    if name not in known:
        raise unknown_name(f"layer of {network.name}", name, known)
    return known[name]
