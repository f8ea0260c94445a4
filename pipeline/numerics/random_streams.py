"""Randomness as a function: no generator state is ever kept."""

import hashlib

import torch


def generator_for(seed: int, purpose: str, *index: int, device: str | torch.device = "cpu") -> torch.Generator:
    """The generator for `purpose` at `index`: equal arguments, equal numbers."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
