"""Raw images in memory, whatever they were read from."""

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Raw:
    """Images (N, C, H, W) of unsigned bytes and labels (N,) of unsigned bytes, training and test part."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for part in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()
