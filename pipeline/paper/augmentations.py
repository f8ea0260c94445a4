"""How training images are varied, as values. numerics/augmentation.py does what they say, and no more."""

from dataclasses import dataclass

FLIPS = ("random", "copies", "none")
FILLS = ("zeros", "edge", "reflect")


@dataclass(frozen=True)
class Shift:
    """Horizontal flips and small translations (section 3.1, after Goodfellow et al. 2013 and Lin et al. 2014)."""

    pixels: int = 5  # the largest translation along each axis; every whole number up to it is as likely
    flip: str = "random"  # one in two, drawn anew; "copies": an epoch holds each image twice, once mirrored; or "none"
    fill: str = "zeros"  # what comes in at the border; or "edge", "reflect"
    whitened: bool = True  # images are whitened first, as Goodfellow's code does; False: raw pixels are varied

    def __post_init__(self):
        if not isinstance(self.pixels, int) or self.pixels < 0:
            raise ValueError(f"pixels must be a whole number, 0 or more, not {self.pixels!r}")
        if self.flip not in FLIPS or self.fill not in FILLS:
            raise ValueError(f"flip must be one of {FLIPS} and fill one of {FILLS}: {self.flip!r}, {self.fill!r}")

    def side(self, image: int) -> int:
        """The side of what the network sees, from the side of an image."""
        if self.fill == "reflect" and self.pixels >= image:
            raise ValueError(f"an image of {image} px cannot be reflected over {self.pixels} px")
        return image


@dataclass(frozen=True)
class Distort:
    """A small image in the middle of a large gray field, distorted as in Graham's code (2014), whom Table 5 follows.

    In this order: stretches of both axes, flip, one of shear along x, shear along y and rotation, translation; then,
    on the image but not on the background, color.
    """

    field: int = 126  # pixels, the side of what the network sees
    background: float = 128.0
    stretch: float = 0.2  # each axis times 1 + U(-stretch, stretch)
    angle: float = 0.2  # of the shear or, in radians, of the rotation: U(-angle, angle)
    pixels: int = 16  # translation along each axis, whole numbers up to it
    color: float = 25.5  # N(0, color) added, one draw a channel
    contrast: float = 0.15  # N(0, contrast) times (value - background) added, one draw a channel
    gradient: float = 2.4  # N(0, gradient) times x, and as much times y, from the center, added, one draw a channel

    def side(self, image: int) -> int:
        """The side of what the network sees, from the side of an image."""
        if self.field < image:
            raise ValueError(f"a field of {self.field} px does not hold an image of {image} px")
        return self.field


@dataclass(frozen=True)
class Crop:
    """A random window of the image and a random mirror; the window in the middle, unmirrored, for evaluation."""

    window: int = 224  # pixels
    mirror: bool = True

    def side(self, image: int) -> int:
        """The side of what the network sees, from the side of an image."""
        if self.window > image:
            raise ValueError(f"a window of {self.window} px does not fit into an image of {image} px")
        return self.window


Augment = Shift | Distort | Crop
