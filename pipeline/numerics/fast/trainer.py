"""The fast loop's state of one experiment, and its training step.

Several trainers may share a device; that does not change the results of any of them.
"""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.numerics.dropout import epoch_keys
from pipeline.numerics.evaluate import count_wrong
from pipeline.numerics.fast.device_loader import DeviceLoader
from pipeline.numerics.fast.flat_parameters import FlatParameters
from pipeline.numerics.fast.forward import logits, rows
from pipeline.numerics.fast.precision import Mode
from pipeline.numerics.loader import Loader
from pipeline.numerics.process_group import ALONE, ProcessGroup
from pipeline.numerics.reference_loop import DEAD_EPOCHS, Epoch, PartialEpoch, is_evaluated, is_flat
from pipeline.paper.networks import Network
from pipeline.paper.recipes import Recipe

CHANNELS = 8  # to which images are padded on a GPU, for its fastest kernels


@dataclass(frozen=True)
class StepBatch:
    """Consecutive training steps with equally large batches; also called a chunk."""

    begin: int  # position in the epoch
    steps: int
    batch: int  # images per step, of all workers together

    @property
    def end(self) -> int:
        """The position after the last."""
        return self.begin + self.steps * self.batch

    def positions(self) -> slice:
        """The positions in the epoch of all steps' images."""
        return slice(self.begin, self.end)


class Trainer:
    """One experiment in training: model, weights, the current epoch's data on the device, and counts.

    `model` must be on its device already; its parameters become views of `weights.master_P`.
    """

    def __init__(
        self,
        model: nn.Module,
        network: Network,
        recipe: Recipe,
        train: Loader,
        test: Loader,
        seed: int,
        mode: Mode,
        workers: ProcessGroup = ALONE,
    ):
        self.model, self.recipe, self.train, self.test, self.seed = model, recipe, train, test, seed
        self.mode, self.workers, self.network = mode, workers, network
        device = next(model.parameters()).device
        channels = CHANNELS if device.type == "cuda" else network.channels
        self.table = rows(network)
        self.dropped = sum(row.number >= 0 for row in self.table)
        summed = torch.float32 if workers.count > 1 else None  # bfloat16 is too coarse to sum gradients in
        self.weights = FlatParameters(model, recipe, mode.dtype, channels, summed)
        self.device_loader = DeviceLoader(train, str(device), mode.dtype, channels)
        self.device, self.lr = device, torch.zeros((), device=device)
        self.totals = torch.zeros(2, dtype=torch.float64, device=device)  # of the epoch: summed loss, misclassified
        self.images = recipe.images_an_epoch(len(train))
        self.epoch = 0  # the next epoch to train, or to resume
        self.part: PartialEpoch | None = None  # the steps of that epoch that are already trained
        self.flat = 0  # consecutive flat epochs (reference_loop.is_flat) before it
        self.diverged = self.dead = False

    @property
    def state(self) -> list[Tensor]:
        """The tensors that a step changes and the next step reads."""
        weights = self.weights
        shadow = [] if weights.compute_P is weights.master_P else [weights.compute_P]
        return [weights.master_P, weights.velocity_P, *shadow, self.totals]

    @property
    def finished(self) -> bool:
        """Whether training has ended: after the last epoch, or as diverged or dead."""
        return self.diverged or self.dead or self.epoch == self.recipe.epochs

    def chunks(self, most: int) -> list[StepBatch]:
        """The epoch's remaining steps in chunks of at most `most` steps; a smaller last batch is a separate chunk."""
        batch, out, at = self.recipe.batch, [], self.part.seen if self.part else 0
        while (left := self.images - at) >= batch:
            out.append(StepBatch(at, min(most, left // batch), batch))
            at += out[-1].steps * batch
        return [*out, StepBatch(at, 1, left)] if left else out

    def broadcast_state(self) -> None:
        """Set epoch, counts and weights of all workers to those of worker 0; PeerLost if a worker has ended."""
        self.epoch = self.workers.broadcast_int(self.epoch, self.device)
        self.flat = self.workers.broadcast_int(self.flat, self.device)
        seen = self.workers.broadcast_int(self.part.seen if self.part else 0, self.device)
        if seen and self.part is None:
            self.part = PartialEpoch(seen, 0.0, 0, 0.0)  # only worker 0 has the counts
        for flat_P in (self.weights.master_P, self.weights.velocity_P):
            self.workers.broadcast(flat_P)

    def begin_epoch(self) -> None:
        """Draw the order, the augmentation and the dropout keys of the epoch, and copy them to the device."""
        self.weights.refresh_compute()
        self.device_loader.begin(self.train.epoch_plan(self.seed, self.epoch))
        self.keys_LE = epoch_keys(self.seed, self.epoch, self.dropped, self.images).to(self.device)
        self.lr.fill_(self.recipe.lr_at(self.epoch))
        self.totals.copy_(torch.tensor([self.part.loss, self.part.wrong] if self.part else [0, 0], dtype=torch.float64))

    def step(self, images: Tensor, labels: Tensor, keys_LB: Tensor, batch: int) -> None:
        """One update from this worker's share of a batch: images (B, C, H, W), labels (B,), dropout keys (L, B).

        `batch` is the number of images of all workers together. B may be 0.
        """
        if len(labels):
            leaves = self.weights.compute_params
            given = logits(self.table, leaves, images, keys_LB, self.network.channels)
            loss = cross_entropy(given, labels, reduction="sum")
            self.weights.gather(torch.autograd.grad(loss / batch, leaves))
            wrong = (given.argmax(1) != labels).sum()
            self.totals += torch.stack([loss.detach().double(), wrong.double()])
        else:
            self.weights.gradient_P.zero_()
        self.workers.all_reduce(self.weights.gradient_P)
        self.weights.update(self.lr)

    def share(self, chunk: StepBatch) -> slice | Tensor:
        """The positions of this worker's share of a chunk, which has one step if there are several workers."""
        plan = self.device_loader.plan
        assert plan is not None
        return plan.share(chunk.begin, chunk.end, self.workers.rank, self.workers.count)

    def batch_at(self, places: slice | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, C, H, W), labels (B,) and dropout keys (L, B) at these positions of the epoch."""
        return *self.device_loader.batch(places), self.keys_LE[:, places]

    def totals_so_far(self) -> tuple[float, int]:
        """Summed loss and misclassified images of the epoch so far, of all workers; waits for the device."""
        self.workers.all_reduce(self.totals)
        loss, wrong = self.totals.tolist()
        return loss, int(wrong)

    def end_epoch(self, loss: float, wrong: int, seen: int, seconds: float) -> Epoch:
        """Close the epoch: decide whether training has diverged or died, evaluate if due, and return its results.

        `loss` and `wrong` are sums over `seen` images; `seconds` is the training time, without evaluation.
        """
        epoch, began = self.epoch, time.perf_counter()
        self.diverged = not math.isfinite(loss)
        self.flat = self.flat + 1 if is_flat(loss / seen, self.network.classes) else 0
        self.dead = self.flat >= DEAD_EPOCHS and not bool(self.weights.gradient_P.any())
        look = self.diverged or self.dead or is_evaluated(self.recipe, epoch)
        test_wrong, test_seen = count_wrong(self.model, self.test, self.workers) if look else (None, None)
        self.epoch, self.part = self.epoch + 1, None
        seconds += time.perf_counter() - began
        return Epoch(epoch, self.recipe.lr_at(epoch), loss / seen, wrong, seen, test_wrong, test_seen, seconds)
