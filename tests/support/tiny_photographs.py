"""A data set of 25 training and 7 test photographs of three classes."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.plan.datasets import Dataset

TINY = Dataset("tiny", 16, 3, 25, 7, None, shard=4)
RNG = np.random.default_rng(0)


def photographs(top: Path) -> Path:
    """The data directory `top` with them: losslessly, of odd sizes."""
    for part, count in (("train", 25), ("val", 7)):
        for n in range(count):
            file = top / "tiny" / part / f"n{n % 3}" / f"{n:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(RNG.integers(0, 256, (20 + n, 45 - n, 3), np.uint8)).save(file)
    return top
