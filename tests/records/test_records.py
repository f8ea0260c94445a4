"""Records: stores of earlier code are read, JSON comes out as it went in, and damage is told with its address."""

import hashlib
import json
import re
from typing import Any

import pytest

from pipeline.records.attempt import AttemptEnd, CheckpointNote, Heartbeat, LeaseRecord, Provenance
from pipeline.records.dataset import DatasetManifest
from pipeline.records.record import SEAL, DamagedRecord
from pipeline.records.result import Evaluation, Result, Retry
from pipeline.store.objects import to_json
from pipeline.store.paths import RunFolder

# Objects as commit 0b1cae1 wrote them, keys and values of a real store
RESULT: dict[str, Any] = {
    "attempt": 1,
    "digests": {"dataset": "d2", "history": "cc", "model": "b1"},
    "epochs": 3,
    "experiment_id": "all-cnn-c.cifar10",
    "outcome": "done",
    "parameters": 86698,
    "seconds": 50.077,
    "seen": 10000,
    "summary": {
        "augmented": False, "commit": "e6", "dataset": "cifar10", "device": "cpu", "device_seconds": 50.077,
        "devices": 1, "dirty": False, "host": "vm", "lock_sha256": "a7", "lr": 0.01, "mode": "bfloat16",
        "network": "all-cnn-c", "processor": "Xeon", "python": "3.11.7", "raw_sha256": "32", "revision": 2,
        "seed": 0, "torch": "2.15.0", "wasted_seconds": 0.0, "whitening_sha256": None,
    },
    "train_loss": None,
    "why": [],
    "wrong": 8453,
}  # fmt: skip
CRASH: dict[str, Any] = {
    "attempt": 3,
    "experiment_id": "all-cnn-c.cifar10",
    "outcome": "crashed",
    "summary": {"device_seconds": 0.0, "wasted_seconds": 12.5},
    "why": ["out of memory"] * 3,
}
ORIGIN: dict[str, Any] = {
    "at": "2026-11-26T19:57:00+00:00", "commit": None, "dataset_manifest_sha256": "d2", "device": "cpu", "devices": 1,
    "dirty": None, "host": "vm", "lock_sha256": "a7", "mode": "bfloat16", "processor": "Xeon", "python": "3.11.7",
    "revision": 2, "threads": 1, "versions": {"ray": None, "torch": "2.15.0"}, "whitening_sha256": "a6",
}  # fmt: skip
CONDITIONS = {"at": "2026-11-27T10:04:11+00:00", "processor": "Xeon", "revision": 2, "torch": "2.15.0"}
LEASE: dict[str, Any] = {
    "at": "2026-11-26T19:57:00+00:00", "attempt": 1, "boot": "60", "fleet": "", "host": "vm pid:[4026531836]",
    "pid": 6424, "rank": 0, "started": "101996", "token": "f9",
}  # fmt: skip
BEAT = {"at": "2026-11-26T19:57:44+00:00", "beat": 6, "epoch": 2, "epoch_seconds": 17.8, "epochs": 3}
MANIFEST: dict[str, Any] = {
    "dataset": {"name": "digits"}, "objects": {"a.npy": {"bytes": 3, "sha256": "f"}}, "preprocess": {},
    "raw_sha256": "3",
}  # fmt: skip
OBJECTS = [
    (Result, RESULT),
    (Result, CRASH),
    (Evaluation, {"digests": RESULT["digests"], "wrong": 8453, "seen": 10000, "under": [CONDITIONS]}),
    (Retry, {"after": 3, "at": "2026-11-26T19:57:44+00:00", "was": CRASH}),
    (Provenance, ORIGIN),
    (LeaseRecord, LEASE),
    (Heartbeat, BEAT),
    (Heartbeat, {"at": "2026-11-26T19:57:44+00:00", "beat": 1}),
    (AttemptEnd, {"at": "2026-11-26T19:57:44+00:00", "how": "failed", "why": "ValueError()"}),
    (CheckpointNote, {"bytes": 696640, "epochs_done": 3, "sha256": "78"}),
    (CheckpointNote, {"bytes": 696640, "epochs_done": 3, "part": {"seen": 128}, "sha256": "78"}),
    (DatasetManifest, MANIFEST),
    (DatasetManifest, MANIFEST | {"whitening_sha256": "a6"}),
]


@pytest.mark.parametrize(("kind", "plain"), OBJECTS)
def test_what_is_in_a_store_is_written_again_byte_for_byte(kind, plain):
    assert to_json(kind.from_json(to_json(plain), "here").plain()) == to_json(plain)


SEALED = [(kind, plain) for kind, plain in OBJECTS if kind.SEALED]


@pytest.mark.parametrize(("kind", "plain"), SEALED)
def test_a_record_carries_the_digest_of_its_other_fields(kind, plain):
    """The digest is made here by hand: of the fields in the order of their names, without blanks."""
    written = kind.from_plain(plain, "here").to_json()
    value = json.loads(written)
    digest = value.pop(SEAL)
    assert value == plain
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    assert digest == hashlib.sha256(text.encode()).hexdigest()
    assert kind.from_json(written, "here") == kind.from_plain(plain, "here")


@pytest.mark.parametrize(("kind", "plain"), SEALED)
def test_no_bit_of_a_record_changes_unnoticed(kind, plain):
    written = kind.from_plain(plain, "s3://b/x.json").to_json()
    for place in range(len(written)):
        flipped = bytearray(written)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(DamagedRecord, match=r"^s3://b/x.json is damaged"):
            kind.from_json(bytes(flipped), "s3://b/x.json")
    for length in (0, 1, len(written) // 2, len(written) - 1):
        with pytest.raises(DamagedRecord, match=r"^s3://b/x.json is damaged"):
            kind.from_json(written[:length], "s3://b/x.json")


def test_results_of_the_first_code_are_read():
    """They had neither a summary nor reasons; a crash had no cost."""
    old = {name: value for name, value in RESULT.items() if name not in ("summary", "why")}
    found = Result.from_plain(old, "here")
    assert (found.device_seconds, found.summary.wasted_seconds, found.why) == (50.077, 0.0, ())
    assert found.error_percent == pytest.approx(84.53)
    crash = Result.from_plain({name: value for name, value in CRASH.items() if name != "summary"}, "here")
    assert (crash.device_seconds, crash.error_percent, crash.why[-1]) == (0.0, None, "out of memory")


def test_provenance_of_the_first_code_is_of_one_device_in_float32():
    newer = ("devices", "mode", "whitening_sha256")
    found = Provenance.from_plain({name: value for name, value in ORIGIN.items() if name not in newer}, "here")
    assert (found.devices, found.mode, found.whitening_sha256) == (1, "float32", None)


def test_fields_of_later_code_are_left_out():
    assert Result.from_plain(RESULT | {"energy": 3}, "here") == Result.from_plain(RESULT, "here")


@pytest.mark.parametrize(
    ("kind", "plain", "told"),
    [
        (Result, {**RESULT, "wrong": "8453"}, "the field 'wrong' must be a whole number, and is \"8453\""),
        (Result, {**RESULT, "wrong": 1.5}, "the field 'wrong' must be a whole number, and is 1.5"),
        (Result, {**RESULT, "attempt": True}, "the field 'attempt' must be a whole number, and is true"),
        (Result, {**RESULT, "outcome": "fine"}, 'must be one of done, diverged, dead, crashed, damaged, and is "fine"'),
        (Result, {**RESULT, "why": "cause"}, "the field 'why' must be a list"),
        (Result, {**RESULT, "why": [3]}, "the field 'why.0' must be text, and is 3"),
        (Result, {**RESULT, "digests": {"model": 3}}, "the field 'digests.model' must be text, and is 3"),
        (Result, {**RESULT, "summary": []}, "summary must be an object with fields, and is []"),
        (Result, {**RESULT, "wrong": 10_001}, "10001 wrong of 10000 images"),
        (Result, {n: v for n, v in RESULT.items() if n != "seen"}, "8453 wrong of 0 images"),
        (Result, {n: v for n, v in RESULT.items() if n != "outcome"}, "the field 'outcome' is missing"),
        (Result, [RESULT], "it must be an object with fields"),
        (LeaseRecord, {n: v for n, v in LEASE.items() if n != "host"}, "the field 'host' is missing"),
        (Heartbeat, BEAT | {"at": None}, "the field 'at' must be text, and is null"),
        (DatasetManifest, MANIFEST | {"objects": {"a.npy": {}}}, "the field 'objects.a.npy.sha256' is missing"),
    ],
)
def test_a_damaged_object_is_told_with_its_address_and_what_to_do(kind, plain, told):
    with pytest.raises(DamagedRecord, match=f"^s3://b/x.json is damaged: .*{re.escape(told)}.*(Delete|strive check)"):
        kind.from_plain(plain, "s3://b/x.json")


def test_a_store_tells_the_address_of_what_is_no_json(store):
    run = RunFolder("one")
    store.write(run.result, json.dumps(RESULT).encode()[:-9])
    with pytest.raises(
        DamagedRecord,
        match=re.escape(f"{store.url_of(run.result)} is damaged: it is not JSON. `strive check"),
    ):
        store.find_record(Result, run.result)
    assert store.find_record(Result, RunFolder("two").result) is None
