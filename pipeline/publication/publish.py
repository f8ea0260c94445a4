"""All that is published of a study, made from what the store holds: tables, page, the list of what can be pulled."""

from collections.abc import Sequence

from pipeline.evaluation import frames
from pipeline.evaluation.results import collect
from pipeline.plan.studies import Study
from pipeline.publication import completeness, editions, page, pull
from pipeline.publication.plots import Plot
from pipeline.store.objects import Store, StudyFolder


def publish(store: Store, study: Study, price: float | None = None) -> tuple[str, Sequence[Plot]]:
    """Put them into the store, the list last; returns the page's address, and its plots for use elsewhere.

    `price` is that of a device-hour. The same store and price give the same bytes.
    """
    folder, results = StudyFolder(study.name), collect(store, study.read)
    made = frames.make(study, results, price)
    html, plots = page.make(store, study, made, results, editions.publish(store, study, made), price)
    store.write(folder.report, html)
    pull.write_list(store, study.name, [e.id for e in study.wanted if e.id in results])
    completeness.record(store, study, results, price)
    return store.url_of(folder.report), plots
