"""Fact beside intent: the code, versions and machine an attempt ran on. Shown, never compared."""

import hashlib
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from pipeline.plan.experiment import REVISION
from pipeline.records.attempt import Provenance
from pipeline.runtime.commit import ROOT, code_commit
from pipeline.runtime.processor import processor

PACKAGES = ("strive", "torch", "ray", "prefect", "s3fs", "pandas", "numpy", "scikit-learn")


def provenance(
    device: str, dataset_sha256: str, whitening_sha256: str | None, mode: str, devices: int = 1
) -> Provenance:
    """What this attempt rests on."""
    return Provenance(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=code_commit().id,
        dirty=code_commit().dirty,
        lock_sha256=_digest(ROOT / "uv.lock"),
        revision=REVISION,
        dataset_manifest_sha256=dataset_sha256,
        whitening_sha256=whitening_sha256,  # of the matrix as computed: it differs between machines
        python=platform.python_version(),
        versions={name: _version(name) for name in PACKAGES},
        host=platform.node(),
        processor=processor(),
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
        devices=devices,
        mode=mode,
        threads=torch.get_num_threads(),
    )


def _digest(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # a machine may lack what its part of the work does not need
        return None
