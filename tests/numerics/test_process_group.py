"""Several workers make the steps that one would make."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.numerics.fast.loop import epochs
from pipeline.numerics.fast.precision import Mode
from pipeline.numerics.fast.self_check import FIFTY_STEPS, POOLED, small_trainer, weights_of
from pipeline.numerics.process_group import ProcessGroup


@pytest.mark.parametrize("count", [2, 3, 20])
def test_gradients_of_all_shares_add_up_to_the_gradient_of_the_batch(count, monkeypatch):
    """Masks, cuts and mirrors included; of 16 images, some of 20 workers get none."""
    monkeypatch.setattr(ProcessGroup, "all_reduce", lambda _self, _value: None)  # each keeps its share
    whole = small_trainer(POOLED, FIFTY_STEPS)
    gathered = []
    for one in (
        whole,
        *(small_trainer(POOLED, FIFTY_STEPS, workers=ProcessGroup(rank, count)) for rank in range(count)),
    ):
        one.begin_epoch()
        chunk = one.chunks(1)[0]
        one.step(*one.batch_at(one.share(chunk)), chunk.batch)
        gathered.append((one.weights.gradient_P.clone(), one.totals.clone()))
    (gradient, totals), *shares = gathered
    torch.testing.assert_close(sum(share for share, _ in shares), gradient, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sum(counted for _, counted in shares), totals)


def test_two_processes_train_as_one_would(tmp_path):
    """Near: of the way that the weights go in fifty steps. Counts are those of both."""
    script, env = (
        Path(__file__).parents[1] / "support" / "shared.py",
        {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    words = ["2", str(tmp_path / "meeting"), str(tmp_path / "out")]
    processes = [
        subprocess.Popen([sys.executable, str(script), str(rank), *words], env=env, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    for process in processes:
        _, said = process.communicate(timeout=200)
        assert process.returncode == 0, said.decode()
    for precision, near in (("float32", 1e-4), ("bfloat16", 0.1)):
        (rows, ours), (same_rows, same) = (torch.load(tmp_path / f"out.{precision}.{rank}") for rank in range(2))
        assert rows == same_rows
        assert torch.equal(ours, same)
        one = small_trainer(POOLED, FIFTY_STEPS, mode=Mode(precision))
        begin = weights_of(one.model).clone()
        alone = [row for _, row in epochs([one])]
        assert (ours - weights_of(one.model)).norm() < near * (weights_of(one.model) - begin).norm()
        assert [row[0] for row in rows] == pytest.approx([row.train_loss for row in alone], rel=max(near / 3, 1e-5))
        assert [(row[2], row[4]) for row in rows] == [(row.train_seen, row.test_seen) for row in alone]


def test_a_worker_that_joins_inside_an_epoch_has_counted_nothing_of_it(monkeypatch):
    """Worker 0 has the counts of the first 32 images: a sum over all workers must hold them once."""
    sent = iter([1, 2, 32])  # epoch, flat epochs, images seen
    monkeypatch.setattr(ProcessGroup, "broadcast_int", lambda *_: next(sent))
    monkeypatch.setattr(ProcessGroup, "broadcast", lambda *_: None)
    one = small_trainer(POOLED, FIFTY_STEPS, workers=ProcessGroup(1, 2))
    one.broadcast_state()
    one.begin_epoch()
    assert (one.epoch, one.flat, one.chunks(1)[0].begin) == (1, 2, 32)
    assert one.totals.tolist() == [0, 0]


LEAVES = """
import os, sys
import torch
from pipeline.numerics.process_group import PeerLost, ProcessGroup
rank, meeting = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
workers = ProcessGroup(rank, 2)
assert workers.all_reduce_int(rank + 1) == 3
if rank == 1:
    os.kill(os.getpid(), 9)
try:
    workers.all_reduce_int(1)
except OSError as error:
    print(type(error).__name__)
"""


def test_a_worker_that_lost_another_says_so(tmp_path):
    """By an OSError: what is trained is not to blame (training/attempts.py)."""
    words = [sys.executable, "-c", LEAVES]
    first, second = (
        subprocess.Popen([*words, str(rank), str(tmp_path / "meeting")], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    )
    said, _ = first.communicate(timeout=200)
    second.communicate(timeout=20)
    assert second.returncode == -9
    assert said.strip() == "PeerLost"
