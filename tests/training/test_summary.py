"""Hand calculation: what an attempt that was lost has cost."""

from dataclasses import replace

import pytest

from pipeline.numerics.reference_loop import Epoch
from pipeline.plan.studies import study
from pipeline.store.objects import open_store
from pipeline.store.paths import DatasetFolder, RunFolder
from pipeline.training import history
from pipeline.training.summary import summary

ONE = study("smoke").experiments[0]
RUN = RunFolder(ONE.id)
ROWS = [Epoch(n, 0.05, 2.0, 9, 64, 9, 40, 12.0) for n in range(4)]
FACTS = {"at": "2026-01-01T00:00:00+00:00", "versions": {"torch": "2"}, "device": "one", "devices": 2}
PIXELS = {"dataset": {}, "preprocess": {}}  # of a manifest, not read here


@pytest.fixture
def store(tmp_path):
    store = open_store(str(tmp_path))
    objects = {"whitening.safetensors": {"sha256": "w"}}
    store.write_json(DatasetFolder(ONE.dataset, ONE.recipe.preprocess).manifest, PIXELS | {"objects": objects})
    store.write_json(RUN.provenance(3), FACTS)
    return store


def test_a_run_without_accidents_wastes_nothing(store):
    store.write_json(RUN.provenance(1), FACTS)
    said = summary(store, ONE, 1, ROWS)
    assert said.wasted_seconds == 0
    assert said.device_seconds == 2 * 4 * 12
    assert (said.network, said.dataset, said.seed) == ("strided-cnn-a", "digits", 0)
    assert (said.raw_sha256, said.whitening_sha256) == (ONE.dataset.sha256, "w")


@pytest.mark.parametrize(("how", "worked"), [("died", 50), ("released", 60)])
def test_lost_work_is_the_time_at_work_less_the_epochs_taken_over(store, how, worked):
    """Two epochs of the first attempt, 12 s each, live on; the second attempt never began.

    A worker that died was seen alive last after 50 s; one that let go said so after 60.
    """
    store.write_json(RUN.provenance(1), FACTS)
    store.write_json(RUN.heartbeat(1), {"at": "2026-01-01T00:00:50+00:00"})
    store.write_json(RUN.attempt_end(1), {"how": how, "at": "2026-01-01T00:01:00+00:00"})
    history.write(store, RUN, 1, ROWS[:2])
    own = [replace(row, seconds=10.0) for row in ROWS[2:]]
    said = summary(store, ONE, 3, ROWS[:2] + own)
    assert said.wasted_seconds == 2 * (worked - 24)
    assert said.device_seconds == 2 * (24 + 20)


BF16 = {"at": FACTS["at"], "versions": {"torch": "2"}, "processor": "Xeon", "mode": "bfloat16", "commit": "a" * 40}


def test_a_run_of_several_machines_names_each_that_trained_a_part(store):
    """By hand, of 4 epochs of 12 s: attempt 1 has 2 epochs on four devices, attempt 2 the first 5 s of the next on one,
    attempt 3 the other 7 s and the last epoch on two. Attempt 2 also trained 3 s that no checkpoint holds."""
    store.write_json(RUN.provenance(1), BF16 | {"devices": 4})
    store.write_json(RUN.heartbeat(1), {"at": "2026-01-01T00:00:24+00:00"})
    store.write_json(
        RUN.provenance(2),
        BF16 | {"mode": "float32", "processor": "EPYC", "continues": {"attempt": 1, "epochs": 2, "part_seconds": 0.0}},
    )
    store.write_json(RUN.heartbeat(2), {"at": "2026-01-01T00:00:08+00:00"})
    store.write_json(RUN.provenance(3), FACTS | {"continues": {"attempt": 2, "epochs": 2, "part_seconds": 5.0}})
    said = summary(store, ONE, 3, ROWS)
    assert [(one.processor, one.mode) for one in said.earlier] == [("Xeon", "bfloat16"), ("EPYC", "float32")]
    assert said.device_seconds == 4 * 24 + 1 * 5 + 2 * 19
    assert said.wasted_seconds == 3
    assert len(said.origins) == 3


def test_attempts_of_earlier_code_are_known_by_their_histories(store):
    """Epoch 2 of attempt 1 was trained again by attempt 3, from the checkpoint before it."""
    store.write_json(RUN.provenance(1), BF16 | {"devices": 4})
    history.write(store, RUN, 1, [*ROWS[:2], replace(ROWS[2], train_loss=9.9)])
    said = summary(store, ONE, 3, ROWS)
    assert [one.mode for one in said.earlier] == ["bfloat16"]
    assert said.device_seconds == 4 * 24 + 2 * 24


def test_attempts_on_one_machine_have_one_origin(store):
    store.write_json(RUN.provenance(1), FACTS)
    history.write(store, RUN, 1, ROWS[:2])
    assert summary(store, ONE, 3, ROWS).earlier == ()


def test_an_attempt_whose_work_was_lost_is_not_named(store):
    """It has a history, and a checkpoint inside an epoch that the last attempt did not continue."""
    store.write_json(RUN.provenance(1), BF16)
    history.write(store, RUN, 1, [replace(ROWS[0], train_loss=9.9)])
    store.write_json(f"{RUN.attempt(1)}/checkpoint/1-640.json", {})
    assert summary(store, ONE, 3, ROWS).earlier == ()


def test_runs_side_by_side_share_the_time_of_their_process(store):
    """Four runs were released after 400 s, this one with two epochs of 50 s: nothing was lost."""
    slow = [replace(row, seconds=50.0) for row in ROWS]
    store.write_json(RUN.provenance(1), FACTS | {"together": 4})
    store.write_json(RUN.heartbeat(1), {"at": "2026-01-01T00:06:40+00:00"})
    store.write_json(RUN.provenance(3), FACTS | {"continues": {"attempt": 1, "epochs": 2, "part_seconds": 0.0}})
    assert summary(store, ONE, 3, slow).wasted_seconds == 0


def test_the_seconds_of_an_attempt_without_provenance_count(store):
    """Provenance that was damaged may be deleted: its devices are then taken to be as many as the last attempt's."""
    store.write_json(RUN.provenance(3), FACTS | {"continues": {"attempt": 1, "epochs": 2, "part_seconds": 0.0}})
    assert summary(store, ONE, 3, ROWS).device_seconds == 2 * 48
