"""Two publishers at once: a reader of `latest.json` sees whole editions alone, and afterwards all names are of one."""

import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from unittest.mock import Mock

import pytest
from support.synthetic import result

from pipeline.plan.studies import study
from pipeline.publication import latest
from pipeline.publication import publish as publishing
from pipeline.publication import turn as publication_turn
from pipeline.publication.publish import publish
from pipeline.publication.turn import Turn, turn
from pipeline.records.attempt import LeaseRecord
from pipeline.store.objects import open_store, sha256
from pipeline.store.paths import RunFolder, StudyFolder
from pipeline.training.leases import LeaseLost
from pipeline.training.owners import this_process

SMOKE, FOLDER = study("smoke"), StudyFolder("smoke")


@pytest.fixture
def trained(store):
    for number, e in enumerate(SMOKE.experiments):
        store.write_record(RunFolder(e.id).result, result(e, 3.0 + number))
    return store


def publisher(stack, url, prices):
    """Its tables differ from those of every other price in what the runs cost."""
    script = Path(__file__).parents[1] / "support/publisher.py"
    words = [sys.executable, str(script), url, ",".join(map(str, prices))]
    process = stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    stack.callback(process.kill)
    assert process.stdout.readline() == "ready\n"
    return process


def torn(store):
    """What is not whole of the edition that latest.json names."""
    found = latest.edition(store, "smoke")
    if found is None:
        return []
    data = {name: store.find(FOLDER.edition(found.digest, name)) for name in found.files}
    return [name for name, of in found.files.items() if data[name] is None or sha256(data[name]) != of.sha256]


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_two_publishers_at_once_leave_one_edition_in_place_and_lose_none(trained, rounds):
    seen, over = [], threading.Event()

    def watch(store):
        while not over.wait(0.01):
            seen.append(torn(store))

    reader = threading.Thread(target=watch, args=(open_store(trained.url),))
    with ExitStack() as stack:
        rivals = [publisher(stack, trained.url, [2 * n + k for n in range(1, rounds + 1)]) for k in (0, 1)]
        reader.start()
        for number in range(1, rounds + 1):
            for rival in rivals:
                rival.stdin.write("go\n")
                rival.stdin.flush()
            assert [rival.stdout.readline() for rival in rivals] == ["published\n"] * 2
            found = latest.edition(trained, "smoke")
            assert found
            stable = {name: sha256(trained.read(FOLDER.object(name))) for name in found.files}
            assert stable == {name: of.sha256 for name, of in found.files.items()}, f"round {number}"
            assert len(latest.listed(trained, "smoke")) == 2 * number
        over.set()
        reader.join()
    assert len(seen) > rounds
    assert [names for names in seen if names] == []
    assert trained.names(FOLDER.object("publishing")) == []


def test_an_edition_that_is_published_twice_is_one(trained):
    publish(trained, SMOKE)
    [first] = latest.listed(trained, "smoke")
    publish(trained, SMOKE, price=1.0)
    publish(trained, SMOKE)
    assert latest.edition(trained, "smoke") == first
    assert len(latest.listed(trained, "smoke")) == 2


def test_editions_of_earlier_code_are_listed_and_read():
    store = open_store(str(Path(__file__).parents[2] / "results"))
    older = store.read_json(StudyFolder("quarter").old_editions)
    assert {entry["digest"] for entry in older} <= {edition.digest for edition in latest.listed(store, "quarter")}
    assert latest.read(store, "quarter", "table.md") == store.read(StudyFolder("quarter").table("md"))


def test_a_publisher_that_died_is_not_waited_for(store):
    gone = asdict(this_process()) | {"pid": 1, "started": "long ago"}
    top = FOLDER.object("publishing")
    store.write(f"{top}/1.json", LeaseRecord(**gone, attempt=1).to_json())
    with turn(store, "smoke") as held:
        assert (held.number, store.names(top)) == (2, ["2.json"])
        held.check()
    assert store.names(top) == []


def test_a_publisher_that_was_taken_over_writes_no_more(store):
    with turn(store, "smoke") as held:
        assert Turn(store, "smoke", held.number + 1).take([held.number])
        with pytest.raises(LeaseLost, match="another process publishes smoke"):
            held.check()


def test_two_that_both_see_no_turn_do_not_both_take_it(store):
    one, other = Turn(store, "smoke", 1), Turn(store, "smoke", 2)
    assert one.take([])
    assert not other.take([])
    assert not Turn(store, "smoke", 1).take([])
    one.check()


def test_a_heartbeat_on_its_way_does_not_bring_back_a_turn_that_was_given_up(store, monkeypatch):
    monkeypatch.setattr(publication_turn, "BEAT_SECONDS", 0.01)
    write, at_it = store.write, threading.Event()

    def slow(path, data):
        at_it.set()
        time.sleep(0.2)
        write(path, data)

    monkeypatch.setattr(store, "write", slow)
    with turn(store, "smoke"):
        at_it.wait(10)
    assert store.names(FOLDER.object("publishing")) == []


def test_a_publisher_that_slept_while_another_published_does_not_think_it_has_the_turn(store):
    asleep, other = Turn(store, "smoke", 1), Turn(store, "smoke", 2)
    assert asleep.take([])
    assert other.take([1])
    store.delete(f"{other.top}/1.json")
    other.end()
    asleep._stop = Mock(wait=Mock(side_effect=[False, True]))  # its next heartbeat, and no other
    asleep.keep()
    with pytest.raises(LeaseLost):
        asleep.check()


def test_who_waited_for_its_turn_publishes_no_older_results(trained, monkeypatch):
    """While it waits, a run comes out and another process publishes it."""
    [*_, last] = SMOKE.experiments
    late = trained.read(RunFolder(last.id).result)
    trained.delete(RunFolder(last.id).result)

    @contextmanager
    def after_another(store, study):
        store.write(RunFolder(last.id).result, late)
        with turn(store, study) as held:
            yield held

    monkeypatch.setattr(publishing, "turn", after_another)
    published = publish(trained, SMOKE)
    assert set(published.tables["cells"]["outcomes"]) == {"1 done"}
