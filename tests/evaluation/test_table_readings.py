"""The readings' table by hand: three readings whose losses are chosen, counted on paper."""

from dataclasses import replace

from support.synthetic import result

from pipeline.evaluation import frames
from pipeline.evaluation.headline import headline
from pipeline.evaluation.table_readings import reading_of, reading_rows
from pipeline.plan.readings import THREE
from pipeline.plan.studies import part_of, study
from pipeline.publication.display import records
from pipeline.publication.publish import publish
from pipeline.records.result import Digests
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder

READINGS = study("readings", 1)


def outcomes():
    """xavier with biases leaves the plateau at all rates, xavier without at two, He nowhere; He at 0.25 diverged."""
    found = {}
    for e in READINGS.experiments:
        reading = reading_of(e)
        if e.network.name not in THREE or reading.width != "1/4" or reading.batch != 128:
            continue
        match reading.initialization, reading.score_bias:
            case "xavier", 0.1:
                loss = 1.5
            case "xavier", _:
                loss = 1.9 if e.recipe.lr < 0.1 else 2.302585
            case "he", 0.0:
                loss = 2.25
            case _:
                continue
        diverged = reading.initialization == "he" and e.recipe.lr == 0.25
        outcome = "diverged" if diverged else "done"
        found[e.id] = result(e, 90.0, train_loss=None if diverged else loss, outcome=outcome)
    return found


def test_readings_are_counted_and_the_best_comes_first():
    rows = reading_rows(READINGS, outcomes())
    assert [(row["initialization"], row["score_bias"], row["left"], row["runs"]) for row in rows] == [
        ("xavier", 0.1, 12, 12), ("xavier", 0.0, 6, 12), ("he", 0.0, 0, 12),
    ]  # fmt: skip
    assert rows[1]["lr_0.05"] == "3 of 3"
    assert rows[1]["lr_0.25"] == "0 of 3"
    assert abs(rows[1]["loss"] - (2 * 1.9 + 2 * 2.302585) / 4) < 1e-6
    assert abs(rows[2]["loss"] - (3 * 2.25 + 2.302585) / 4) < 1e-6  # what diverged counts ln 10


def test_a_part_of_the_study_has_its_table_too():
    """Model C was trained at a quarter of the width alone."""
    part = part_of(READINGS, "model-c")
    rows = reading_rows(part, outcomes())
    assert [(row["initialization"], row["left"], row["runs"], row["whole"]) for row in rows] == [
        ("xavier", 4, 4, True), ("xavier", 2, 4, True), ("he", 0, 4, True),
    ]  # fmt: skip


def test_the_study_is_published_with_its_table_alone(tmp_path):
    store = open_store(str(tmp_path))
    for id, one in outcomes().items():
        store.write_json(RunFolder(id).result, replace(one, digests=Digests(model="m", dataset="d")).plain())
    publish(store, READINGS)
    assert "| 1/4     | xavier" in store.read("studies/readings/table.md").decode()
    page = store.read("studies/readings/report.html").decode()
    assert "Xavier, biases of the scores at 0.1" in page  # the answer begins the page: a sentence
    assert "Table 4" not in page


def test_the_study_has_this_table_alone_and_a_headline():
    made = frames.make(READINGS, outcomes())
    assert list(made) == ["readings"]
    said = headline(READINGS, {"readings": records(made["readings"])})
    assert said.startswith("xavier, biases of the scores at 0.1, batch 128: 12 of 12 runs leave the plateau")
    assert "the most of 3 readings at 1/4 of the paper's width" in said
    full = {e.id: result(e, 90.0, train_loss=1.0) for e in READINGS.experiments if reading_of(e).width == "1"}
    both = headline(READINGS, {"readings": records(frames.make(READINGS, outcomes() | full)["readings"])})
    assert both == said  # those at full width are not among these three
    assert headline(READINGS, {"readings": []}) == "no run has come out yet"
