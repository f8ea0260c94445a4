"""The cost of everything around the training steps: start-up, whitening, evaluation, checkpoints, memory."""

import resource
import subprocess
import sys
import time

import torch

from pipeline.bench.clock import now
from pipeline.bench.workload import Fast, Workload
from pipeline.numerics.evaluate import count_wrong
from pipeline.numerics.preprocessing import contrast_normalized, fit, whiten
from pipeline.paper.networks import Network
from pipeline.paper.recipes import Whiten
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.training import checkpoint, job

IMPORTS = ("torch", "ray", "prefect", "pandas", "pipeline.training.job", "flows.cli.app")
_IMPORT = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"


def imports() -> dict[str, float]:
    """Wall-clock seconds in which a new process imports each of IMPORTS; those that are not installed are left out."""
    out = {}
    for name in IMPORTS:
        done = subprocess.run([sys.executable, "-c", _IMPORT.format(name)], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            out[name] = float(done.stdout)
    return out


def zca(images: int, device: str = "cpu") -> dict[str, float]:
    """Seconds of work (clock.py) to fit ZCA whitening to so many random images (3, 32, 32) on a CPU, and to apply it to
    1,000 on `device`."""
    pixels = torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    how, began = Whiten(), now("cpu")
    whitening = fit(contrast_normalized(pixels.flatten(1), how.gcn_scale), how.zca_epsilon)
    fitted, some = now("cpu"), pixels[torch.arange(1000) % images].to(device)
    whitening, begun = whitening.to(device), now(device)
    whiten(some, whitening, how)
    return {"images": images, "fit_seconds": fitted - began, "apply_seconds_a_thousand": now(device) - begun}


def around(network: Network, work: Workload, device: str, store: Store) -> dict[str, float]:
    """For one network: seconds of the first step and of a checkpoint, and the shares of evaluation and checkpoints.

    Shares are relative to the time of the training steps, for a run on 50,000 images that evaluates 10,000 after every
    tenth epoch and writes a checkpoint every CHECKPOINT_SECONDS. The test checkpoint is deleted from the store.
    """
    fast = Fast([network], work, device)
    [trainer] = fast.trainers
    began = now(device)
    fast.step()
    first, began = now(device) - began, now(device)
    images = fast.step()
    step, began = (now(device) - began) / images, now(device)
    count_wrong(trainer.model, trainer.test)
    evaluation, began = (now(device) - began) / len(trainer.test), time.perf_counter()
    run = RunFolder("bench")
    checkpoint.save(store, run, 1, 1, trainer.model, trainer.weights)
    saved = time.perf_counter() - began
    for name in store.names(run.top):
        store.delete(f"{run.top}/{name}")
    return {
        "first_step_seconds": first,  # of one chunk of steps, with its capture on a GPU
        "evaluation_share": evaluation * 10_000 / (step * 50_000 * 10),
        "checkpoint_seconds": saved,
        "checkpoint_share": saved / job.CHECKPOINT_SECONDS,
    }


def peak_memory(device: str) -> dict[str, int]:
    """The largest memory use so far of this process and, on a GPU, of torch's tensors on it, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    out = {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if device == "cuda":
        out["peak_device_bytes"] = torch.cuda.max_memory_allocated()
    return out
