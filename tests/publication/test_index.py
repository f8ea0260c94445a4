"""The front page of a store: what is there is told, with its epoch, and every link leads somewhere."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.synthetic import papers, result, results

from pipeline.plan.studies import study
from pipeline.publication.index import entries, markdown, write_index
from pipeline.publication.publish import publish
from pipeline.records.result import Digests
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.training.leases import acquire
from pipeline.training.owners import LeaseObserver, this_process


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


def put(store, found):
    for id, one in found.items():
        store.write_json(RunFolder(id).result, replace(one, digests=Digests(model="m", dataset="d")).plain())


def test_an_empty_store_says_what_to_do(store):
    assert "strive reproduce" in Path(write_index(store)).read_text(encoding="utf-8")


def test_every_study_with_runs_is_told_with_its_relation_headline_and_claims(store):
    quarter, digits = study("quarter"), study("digits")
    put(store, results(quarter.wanted, lambda e: 10 + papers()(e), 0.05))
    put(store, {e.id: result(e, 3.0) for e in digits.experiments[:5]})
    publish(store, digits)
    found = {entry.study.name: entry for entry in entries(store)}
    assert set(found) == {"digits", "quarter"}
    assert found["digits"].to_come == 7
    assert found["digits"].headline.startswith("5 of 12 networks learned (7 not run), median error 3.00 %")
    assert (2, "holds at this scale") in [(number, verdict) for number, _, verdict in found["quarter"].claims]
    text = Path(write_index(store)).read_text(encoding="utf-8")
    assert "the paper&#39;s task at a smaller scale: a quarter of the width" in text
    links = re.findall(r'<a href="(studies/[^"]+)"', text)
    assert links
    assert all((Path(store.url) / link).exists() for link in links)
    assert "| 2 | Striding without pooling" in store.read("README.md").decode()


def test_a_run_that_has_only_begun_is_named_with_its_epoch(store):
    one = study("digits").experiments[0]
    [lease], _ = acquire(store, [one], 1, this_process(), LeaseObserver(store))
    store.create_json(RunFolder(one.id).experiment, one.plain())
    with lease:
        lease.progress(3, 1.0)
        lease.beat()
        [entry] = entries(store)
        assert entry.begun == (f"{one.id}, running at epoch 3 of 10",)
    assert f"- begun: {one.id}, without a checkpoint yet\n" in markdown(entries(store))


def test_runs_of_no_study_are_listed_with_their_error_and_their_maps(store):
    one = replace(study("digits").experiments[0], seed=77)
    other = replace(one, seed=78)
    for e, outcome in ((one, "done"), (other, "dead")):
        store.create_json(RunFolder(e.id).experiment, e.plain())
        put(store, {e.id: replace(result(e, 3.0), outcome=outcome)})
    maps = f"{RunFolder(one.id).figures}/maps.scores.guided.0.png"
    store.write(maps, b"")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in _lines(store) if ".s7" in line]
    assert rows[0][1:] == ["Model A", "digits", "3.00 % test error (300 of 10,000 wrong)", f"[maps]({maps})"]
    assert rows[1][3:] == ["did not learn", ""]
    text = Path(write_index(store)).read_text(encoding="utf-8")
    assert one.id in text
    assert f'<a href="{maps}">maps</a>' in text


def _lines(store):
    write_index(store)
    return store.read("README.md").decode().splitlines()
