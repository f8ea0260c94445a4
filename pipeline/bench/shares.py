"""What one worker of several reads in a pass over photographs in shards, and the memory that it needs for them.

`python -m pipeline.bench.shares` prints a line for each of ROWS, measured in a process of its own. One stream is the
order in which every worker needs all shards; with eight, each worker reads its own part.
"""

import json
import subprocess
import sys
import tempfile

import psutil
import torch

from pipeline.data.npy import array_of, npy
from pipeline.data.read_shards import Shards
from pipeline.numerics.loader import Loader
from pipeline.paper.augmentations import Crop
from pipeline.paper.recipes import Recipe, Scale
from pipeline.store.objects import Store, open_store, sha256

SHARDS, IMAGES, SIDE = 64, 256, 128  # shards, images per shard, pixels: 12.6 MB per shard, 805 MB in total
BATCH = 64
ROWS = ((1, 8), (8, 1), (8, 2), (8, 4), (8, 8))  # streams, workers


def measure() -> list[dict]:
    """For each of ROWS the reads of shards by worker 0, and the growth of its memory during the pass, in bytes."""
    with tempfile.TemporaryDirectory(prefix="strive-shares-") as folder:
        store, chance = open_store(folder), torch.Generator().manual_seed(0)
        for number in range(SHARDS):
            pixels = torch.randint(256, (IMAGES, SIDE, SIDE, 3), dtype=torch.uint8, generator=chance)
            store.create(f"{number}.npy", npy(pixels.numpy()))
        return [_measured(folder, *row) for row in ROWS]


def _measured(folder: str, streams: int, workers: int) -> dict:
    words = [sys.executable, "-m", "pipeline.bench.shares", folder, str(streams), str(workers)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def _walk(store: Store, streams: int, workers: int) -> dict:
    """One pass of worker 0 over its share of the images, in this process."""
    reads = []

    def read(number: int) -> torch.Tensor:
        reads.append(number)
        data = store.read_buffer(f"{number}.npy")
        sha256(data)  # as the digests of prepared data are checked: it touches every page
        return torch.from_numpy(array_of(data)).permute(0, 3, 1, 2)

    recipe = Recipe(lr=0.1, batch=BATCH, preprocess=Scale(), augment=Crop(window=112), streams=streams)
    loader = Loader(Shards(read, torch.zeros(SHARDS * IMAGES, dtype=torch.int64), IMAGES), recipe)
    plan = loader.epoch_plan(0, 0)
    shares = list(plan.batches(BATCH, 0, workers))
    before = most = _memory()
    for place_B in shares:
        loader.batch_at(plan, place_B)
        most = max(most, _memory())
    return {"streams": streams, "workers": workers, "shards": len(reads), "bytes": most - before}


def _memory() -> int:
    return psutil.Process().memory_info().rss


if __name__ == "__main__":
    if len(sys.argv) > 1:
        torch.set_num_threads(1)
        print(json.dumps(_walk(open_store(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
    else:
        for row in measure():
            print(
                f"{row['streams']} streams, {row['workers']} workers: each worker reads {row['shards']} of {SHARDS} "
                f"shards and needs {row['bytes'] / 1e6:.0f} MB of memory for them"
            )
