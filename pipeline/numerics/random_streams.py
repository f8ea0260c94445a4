"""Random numbers as a function of the seed and of what they are for. No generator state is kept between uses."""

import hashlib

import torch


def generator_for(seed: int, purpose: str, *index: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A new generator, seeded with a hash of the arguments: equal arguments give equal numbers."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
