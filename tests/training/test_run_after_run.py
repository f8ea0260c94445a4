"""A worker of a fleet that cannot go on."""

import socket
import threading

from pipeline.errors import StoreAway
from pipeline.plan.studies import study
from pipeline.training.queue import Queue
from pipeline.training.run_after_run import run_after_run

RUNS = list(study("digits", 1).experiments)


def test_a_worker_whose_store_is_away_says_so_in_a_sentence(tmp_path, monkeypatch):
    """Raised, Ray would make a traceback of it, and end the workers that still reach the store."""

    def away(*_):
        raise StoreAway("the store has not answered for 900 s")

    monkeypatch.setattr(Queue, "take", away)
    ended = run_after_run("fleet", RUNS, str(tmp_path), 1, 0, threading.Event())
    assert (ended.all_done, ended.why) == (False, f"{socket.gethostname()}: the store has not answered for 900 s")
