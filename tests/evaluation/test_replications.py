"""Runs that were trained again: how they compare, whose turn it is, and that the originals are not touched."""

from dataclasses import replace

import pytest

from pipeline.evaluation import frames
from pipeline.evaluation.replications import Noise, compare, noise, replica_of, replication_rows, settle, to_replicate
from pipeline.plan.studies import study
from pipeline.records.result import Digests, Origin, Result, Summary
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder
from pipeline.store.replications import kept

SMOKE = study("smoke", 3)
ONE = SMOKE.experiments[0]


def result(wrong=100, model="m", outcome="done", seen=1000, **more):
    return Result(outcome=outcome, attempt=1, epochs=2, wrong=wrong, seen=seen, digests=Digests(model=model), **more)


@pytest.mark.parametrize(
    ("again", "comparison"),
    [
        (result(), "same bits"),
        (result(model="other"), "same counts"),
        (result(120, "other"), "within noise"),
        (result(121, "other"), "drifted"),
        (result(79, "other"), "drifted"),  # better is not the same either
        (result(900, "other", "diverged", why=("the loss was not finite",)), "drifted"),
    ],
)
def test_how_a_run_compares(again, comparison):
    found = compare(result(), again, Noise(2.0, "5 seeds"))
    assert found.comparison == comparison
    assert (found.original_wrong, found.wrong, found.seen) == (100, again.wrong, 1000)


def test_chance_is_what_seeds_scatter_by():
    """By hand: errors 9, 10 and 11 % have a standard deviation of 1; t(2) at 97.5 % is 4.3027."""
    runs = [replace(ONE, seed=seed) for seed in range(3)]
    results = {run.id: result(wrong) for run, wrong in zip(runs, (90, 100, 110), strict=True)}
    by = noise(ONE, runs, results)
    assert by.points == pytest.approx(4.3027 * 2**0.5, abs=1e-3)
    assert by.of == "3 seeds"


def test_with_one_seed_chance_is_how_test_images_were_drawn():
    """By hand: 1.96 x sqrt(2 x 0.1 x 0.9 / 1000) = 2.63 %."""
    by = noise(ONE, [ONE], {ONE.id: result()})
    assert by.points == pytest.approx(2.63, abs=0.005)
    assert by.of == "1,000 test images"


def test_chance_is_never_nothing():
    """Seeds that agree exactly, or a run without an error, say nothing of how far two runs lie apart.

    By hand: 1.96 x sqrt(2 x 0.1 x 0.9 / 1000) = 2.63 %, and 1.96 x sqrt(2 x 0.001 x 0.999 / 1000) = 0.277 %.
    """
    runs = [replace(ONE, seed=seed) for seed in range(3)]
    by = noise(ONE, runs, {run.id: result(100) for run in runs})
    assert (by.points, by.of) == (pytest.approx(2.63, abs=0.005), "1,000 test images")
    for wrong, other in ((0, 2), (1000, 998)):
        by = noise(ONE, [ONE], {ONE.id: result(wrong)})
        assert by.points == pytest.approx(0.277, abs=0.001)
        assert compare(result(wrong), result(other, "other"), by).comparison == "within noise"
    assert noise(ONE, [ONE], {ONE.id: result(1, seen=1)}).points > 0


def done(store, experiment, **more):
    made = result(**more, experiment_id=experiment.id, summary=Summary(torch="2.13.0", device="cpu", commit="0" * 40))
    store.write_record(RunFolder(experiment.id).result, made)
    store.write(f"{RunFolder(experiment.id).top}/attempts/1/model.safetensors", b"weights")
    return made


def test_turns_rotate_and_originals_stay_as_they_are(store):
    results = {e.id: done(store, e) for e in SMOKE.wanted[:3]}
    before = {name: store.read(name) for name in store.names("")}
    order = []
    for _ in range(5):
        [chosen] = to_replicate(store, SMOKE, results, 1)
        replica = replica_of(store, [chosen])
        assert replica.url == replica_of(store, [chosen]).url, "what was interrupted goes on in the same place"
        there = open_store(replica.url)  # as a worker opens it
        assert not there.exists(RunFolder(chosen.id).result), "trained again from nothing"
        done(there, chosen, wrong=130)
        settle(store, replica, SMOKE, results, chosen)
        order.append(chosen.id)
    assert set(order[:3]) == set(results)
    assert order[3:] == order[:2]
    assert {name: store.read(name) for name in before} == before
    assert not [name for name in store.names("replications") if name.endswith(".safetensors")]
    assert len(kept(store, results)) == 5


def test_the_table_has_a_row_for_each_the_newest_first(store):
    results = {e.id: done(store, e) for e in SMOKE.wanted[:2]}
    for experiment, wrong in zip(SMOKE.wanted[:2], (100, 400), strict=True):
        replica = replica_of(store, [experiment])
        done(replica, experiment, wrong=wrong, model="m" if wrong == 100 else "other")
        settle(store, replica, SMOKE, results, experiment)
    made = frames.make(SMOKE, results, None, kept(store, results))["replications"]
    assert sorted(made["comparison"]) == ["drifted", "same bits"]
    [drifted] = made[made["comparison"] == "drifted"].to_dict("records")
    assert (drifted["original_error"], drifted["error"], drifted["difference"]) == (10, 40, 30)
    assert drifted["torch"] == "2.13.0"
    assert list(made["at"]) == sorted(made["at"], reverse=True)
    assert "replications" not in frames.make(SMOKE, results)


def test_a_replication_names_every_machine_that_trained_a_part_of_it(store):
    experiment = SMOKE.wanted[0]
    results = {experiment.id: done(store, experiment)}
    replica = replica_of(store, [experiment])
    done(replica, experiment)
    found = settle(store, replica, SMOKE, results, experiment)
    last = replace(found.summary, host="second ab12", device="cpu", processor="Zen 3", torch="2.14.0")
    first = Origin(host="first cd34", device="cuda", processor="Xeon", torch="2.13.0", commit="c" * 40, dirty=True)
    [row] = replication_rows(SMOKE, [(experiment.id, replace(found, summary=replace(last, earlier=(first,))))])
    assert (row["host"], row["torch"], row["processor"]) == ("first, second", "2.13.0, 2.14.0", "cuda, Zen 3")
    assert row["commit"].split()[0] == f"{'c' * 12}+"


def test_a_replica_has_its_own_runs_and_the_data_of_the_store_around_it(store):
    store.write("datasets/noise/manifest.json", b"{}")
    replica = store.replica("abc123")
    assert replica.exists("datasets/noise/manifest.json")
    replica.write("runs/one/result.json", b"1")
    assert replica.names("runs") == ["one/result.json"]
    assert store.names("runs") == []
    assert store.read("replications/abc123/runs/one/result.json") == b"1"
    assert replica.url_of("runs/one") == store.url_of("replications/abc123/runs/one")
