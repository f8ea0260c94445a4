"""A source in shards that tells what was read of it."""

import threading
import weakref

import torch

from pipeline.data.read_shards import Shards


def counted(count=100, shard=5):
    """A source of numbered 1 x 1 images; which shards were read in order, and how many were alive at most."""
    reads, alive, most = [], weakref.WeakSet(), [0]
    lock = threading.Lock()

    def read(number):
        images = torch.arange(number * shard, min(count, (number + 1) * shard), dtype=torch.int32).view(-1, 1, 1, 1)
        with lock:
            reads.append(number)
            alive.add(images)
            most[0] = max(most[0], len(alive))
        return images

    return Shards(read, torch.arange(count), shard), reads, most
