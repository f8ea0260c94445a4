"""One of several workers that train the pooled network together; prints what they come to."""

import sys

import torch

from pipeline.numerics.fast.loop import epochs
from pipeline.numerics.fast.precision import PRECISIONS, Mode
from pipeline.numerics.fast.self_check import FIFTY_STEPS, POOLED, small_trainer, weights_of
from pipeline.numerics.process_group import ProcessGroup

rank, count, meeting, out = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
for precision in PRECISIONS:
    one = small_trainer(POOLED, FIFTY_STEPS, seed=rank, mode=Mode(precision), workers=ProcessGroup(rank, count))
    one.seed = 0  # the workers begin with other weights, and agree on those of the first
    one.broadcast_state()
    rows = [
        (row.train_loss, row.train_wrong, row.train_seen, row.test_wrong, row.test_seen) for _, row in epochs([one])
    ]
    torch.save([rows, weights_of(one.model)], f"{out}.{precision}.{rank}")
torch.distributed.destroy_process_group()
