"""All that is published of a study, made from what the store holds: tables, page, the list of what can be pulled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.evaluation import frames
from pipeline.evaluation.results import collect
from pipeline.plan.studies import Study
from pipeline.publication import completeness, editions, page, pull
from pipeline.publication.plots import Plot
from pipeline.store.objects import Store, StudyFolder


@dataclass(frozen=True)
class Published:
    """What was put into the store."""

    report: str  # the page's address
    tables: Mapping[str, pd.DataFrame]  # by kind, the main one first
    plots: Sequence[Plot]


def publish(store: Store, study: Study, price: float | None = None) -> Published:
    """Put the study's tables and page into the store, then the list of its files.

    `price` is that of a device-hour. The same store and price give the same bytes.
    """
    folder, results = StudyFolder(study.name), collect(store, study.read)
    tables = frames.make(study, results, price)
    html, plots = page.make(store, study, tables, results, editions.publish(store, study, tables), price)
    store.write(folder.report, html)
    pull.write_list(store, study.name, [e.id for e in study.wanted if e.id in results])
    completeness.record(store, study, results, price)
    return Published(store.url_of(folder.report), tables, plots)
