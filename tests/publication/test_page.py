"""Laws of what is published: nothing changes when nothing has changed, the page is whole and alone."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from support import browser
from support.finished import SMOKE, train
from support.synthetic import result, results

from pipeline.evaluation import frames as tables
from pipeline.evaluation.proofs import proof_of
from pipeline.evaluation.results import collect
from pipeline.evaluation.schema import FILES, TABLES
from pipeline.paper.published_errors import published_error
from pipeline.plan.studies import study
from pipeline.publication import curves, formats, latest
from pipeline.publication import page as report
from pipeline.publication.publish import publish as publish_study
from pipeline.records.published import Edition
from pipeline.records.result import Result
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder, StudyFolder

TABLE_3 = study("table-3")
EDITION = Edition(digest="edition", files={})


def publish(store, study):
    published = publish_study(store, study)
    drawn = published.plots
    assert published.report == store.url_of(StudyFolder(study.name).report)
    found = latest.edition(store, study.name)
    assert found
    return found.digest, store.read(StudyFolder(study.name).report).decode(), drawn


def contents(store):
    return {name: store.read(name) for name in store.names("")}


def test_publishing_twice_changes_no_byte(smoke):
    publish(smoke, SMOKE)
    before = contents(smoke)
    publish(smoke, SMOKE)
    assert contents(smoke) == before


def test_the_page_says_how_many_runs_were_evaluated_again(smoke):
    one = RunFolder(SMOKE.experiments[0].id)
    smoke.write_json(one.evaluation, proof_of(smoke, smoke.read_record(Result, one.result), one.id).plain())
    assert "1 of 2 finished runs" in publish(smoke, SMOKE)[1]


def test_a_result_that_was_changed_is_no_number_but_damaged(smoke):
    """By its evaluation, as in a store of older code, whose results have no digest; by its history; by its own."""
    one = RunFolder(SMOKE.experiments[0].id)
    smoke.write_json(one.evaluation, proof_of(smoke, smoke.read_record(Result, one.result), one.id).plain())
    own = smoke.read(one.result)

    def told(address):
        page = publish(smoke, SMOKE)[1]
        row = json.loads(smoke.read(StudyFolder("smoke").table("json")))["rows"][0]
        assert (row["verdict"], row["error"]) == ("damaged", None)
        assert address in row["because"]
        assert "damaged" in page
        smoke.write(one.result, own)

    smoke.write_json(one.result, smoke.read_json(one.result) | {"wrong": 1})
    told(smoke.url_of(one.evaluation))
    smoke.write(one.result, smoke.read_record(Result, one.result).to_json().replace(b'"wrong": 300', b'"wrong": 301'))
    told(smoke.url_of(one.result))
    smoke.write(one.result, smoke.read(RunFolder(SMOKE.experiments[1].id).result))
    told(SMOKE.experiments[1].id)
    smoke.write_json(one.result, smoke.read_json(one.result) | {"digests": {"model": "m", "history": "of another"}})
    told(smoke.url_of(one.history(1)))


def test_an_earlier_edition_stays_and_is_listed(smoke):
    first, *_ = publish(smoke, SMOKE)
    folder = StudyFolder("smoke")
    table = smoke.read(folder.table("parquet"))
    smoke.write_json(RunFolder(SMOKE.experiments[0].id).result, result(SMOKE.experiments[0], 9.0).plain())
    second, *_ = publish(smoke, SMOKE)
    assert {edition.digest for edition in latest.listed(smoke, "smoke")} == {first, second}
    assert smoke.read(folder.edition(first, "table.parquet")) == table
    assert smoke.read(folder.edition(second, "table.parquet")) == smoke.read(folder.table("parquet")) != table


def test_every_table_is_there_in_every_format(smoke):
    publish(smoke, SMOKE)
    names = set(smoke.names(StudyFolder("smoke").top))
    assert {
        f"{FILES[kind]}.{ending}" for kind in TABLES if kind != "replications" for ending in formats.FORMATS
    } <= names
    assert {"schema.json", "report.html", "files.json", "manifest.json", "latest.json"} <= names
    described = smoke.read_json(StudyFolder("smoke").object("schema.json"))["tables"]["cells"]
    rows = json.loads(smoke.read(StudyFolder("smoke").table("json")))["rows"]
    assert list(rows[0]) == [column["name"] for column in described]


def test_one_line_of_pandas_reads_the_table(anywhere):
    publish(anywhere, SMOKE)
    frame = pd.read_parquet(anywhere.url_of(StudyFolder("smoke").table("parquet")))
    assert frame["error"].tolist() == [3.0, 4.0]


class Page(HTMLParser):
    """What the page asks for, shows, and closes."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.images, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.sources += [found[name] for name in ("src", "data") if name in found]
        self.images += [found] if tag in ("img", "svg") else []
        self.ids += [found["id"]] if "id" in found else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.ids += [dict(attributes)["id"]] if "id" in dict(attributes) else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def whole(text):
    page = Page(text)
    assert page.open == []
    assert all(source.startswith("data:") for source in page.sources)
    assert not re.search(r"<link|<script|@import|url\((?!#)", text)
    assert all(image.get("alt") or image.get("aria-label") for image in page.images)
    return page


def test_the_page_of_another_task_compares_nothing(smoke):
    _, text, drawn = publish(smoke, SMOKE)
    page = whole(text)
    assert [plot.name for plot in drawn] == ["errors", "learning"]
    assert len(page.images) == 2 + 2
    assert "This is another task than the paper's" in text
    assert '<ul class="verdicts">' not in text  # "12 not comparable" would answer nothing


def paper_at_005(e):
    return published_error(e.network.name).error + (0 if e.recipe.lr == 0.05 else 5)


def test_the_page_of_table_3_shows_differences_rates_and_claims(tmp_path):
    store = open_store(str(tmp_path))
    found = results(TABLE_3.wanted, paper_at_005, 0.1)
    made = tables.make(TABLE_3, found, price=2.0)
    html, drawn = report.make(store, TABLE_3, made, found, EDITION, price=2.0)
    text = html.decode()
    whole(text)
    assert [plot.name for plot in drawn] == ["forest", "sensitivity"]  # there are no histories
    assert "All-CNN-C" in drawn[0].svg
    assert re.search(r'class="reproduced">12</b>reproduced', text)
    assert "at 2.00 a device-hour" in text
    assert text.count('class="claim"') == 14


def test_a_page_without_any_result_says_so(tmp_path):
    html, drawn = report.make(open_store(str(tmp_path)), TABLE_3, tables.make(TABLE_3, {}), {}, EDITION)
    whole(html.decode())
    assert drawn == []
    assert re.search(r'class="not-run">12</b>not run', html.decode())


def test_a_hostile_name_is_text_on_the_page(smoke):
    first = SMOKE.experiments[0]
    smoke.write_json(
        RunFolder(first.id).result, result(first, 3.0, summary={"device": "<img src=x onerror=y>"}).plain()
    )
    _, text, _ = publish(smoke, SMOKE)
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text


def test_the_page_names_every_number_format_that_a_run_was_trained_in(smoke):
    """One of the two runs went on in float32 what another machine had begun in bfloat16."""
    first, second = SMOKE.experiments
    mixed = {"mode": "float32", "earlier": [{"mode": "bfloat16", "processor": "Xeon"}]}
    smoke.write_record(RunFolder(first.id).result, result(first, 3.0, summary=mixed))
    smoke.write_record(RunFolder(second.id).result, result(second, 3.0, summary={"mode": "float32"}))
    _, text, _ = publish(smoke, SMOKE)
    formats = " ".join(re.sub(r"<[^>]+>", " ", text.partition("number format")[2])[:200].split())
    assert formats.startswith("bfloat16 (1 run), float32 (2 runs)"), formats
    assert "Xeon" in text


def test_curves_are_the_histories(smoke):
    one = SMOKE.experiments[0]
    found = collect(smoke, [one])
    curve = curves.curves(smoke, found, [one.id, "another"])[one.id]
    np.testing.assert_allclose(curve.train[0], range(1, 21))
    np.testing.assert_allclose(curve.train[1], [50 - n / 10 for n in range(20)])
    np.testing.assert_allclose(curve.test[0], range(2, 21, 2))  # evaluated every other epoch
    np.testing.assert_allclose(curve.test[1], [90 - n for n in range(1, 20, 2)])


def test_the_page_says_of_a_dead_run_that_it_did_not_learn(smoke):
    one, _ = SMOKE.experiments
    dead = result(one, 90.0, outcome="dead", why=["no gradient"], train_loss=2.3)
    smoke.write_json(RunFolder(one.id).result, dead.plain())
    _, page, _ = publish(smoke, SMOKE)
    assert "2 planned, 1 did not learn, 1 done" in page


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
def test_the_widest_table_fits_a_window_of_1200_pixels(tmp_path):
    store = open_store(str(tmp_path / "store"))
    for number, one in enumerate(TABLE_3.wanted):
        store.write_json(RunFolder(one.id).result, result(one, 9.0 + number % 7 / 3).plain())
    publish(store, TABLE_3)
    with browser.browser() as page:
        page.call("Emulation.setDeviceMetricsOverride", width=1200, height=900, deviceScaleFactor=1, mobile=False)
        page.open(f"file://{store.url}/{StudyFolder('table-3').report}")
        columns, wide, seen = page.evaluate(
            "(() => { const box = document.querySelector('.wide');"
            " return [box.querySelectorAll('th').length, box.scrollWidth, box.clientWidth]; })()"
        )
    assert columns >= 13
    assert wide <= seen


def test_the_page_of_an_own_study_is_not_called_a_reproduction(tmp_path):
    from pipeline.own import OwnStudy, at_width, better

    small = [at_width(name, "1/12", "digits") for name in ("all-cnn-c", "model-c")]
    own = OwnStudy("mine", "does it hold?", small, data="digits", claims={"C is better.": better(*small)}).planned()
    store = open_store(str(tmp_path / "store"))
    for one in own.experiments:
        train(store, one, 3.0)
    page = publish(store, own)[1]
    assert "A reproduction of" not in page
    assert "The paper gives" not in page
    assert '<b class="no-number">2</b>trained; nothing is in print to compare them with' in page
    assert "the paper says" not in store.read(StudyFolder("mine").object("claims.md")).decode()
