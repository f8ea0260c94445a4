"""All that is published of a study, made from what the store holds: tables, page, the list of what can be pulled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.evaluation import frames
from pipeline.evaluation.results import collect
from pipeline.plan.studies import Study
from pipeline.publication import completeness, editions, page, pull
from pipeline.publication.svg import Plot
from pipeline.publication.turn import turn
from pipeline.store.objects import Store
from pipeline.store.paths import StudyFolder
from pipeline.store.replications import kept


@dataclass(frozen=True)
class Published:
    """What was put into the store."""

    report: str  # the page's address
    tables: Mapping[str, pd.DataFrame]  # by kind, the main one first
    plots: Sequence[Plot]


def publish(store: Store, study: Study, price: float | None = None) -> Published:
    """Put the study's tables and page into the store, then the list of its files.

    `price` is that of a device-hour. The same store and price give the same bytes. Raises LeaseLost where another
    process took the turn over.
    """
    folder = StudyFolder(study.name)
    with turn(store, study.name) as held:  # results that were read before it may be older than what is there then
        results = collect(store, study.read)
        tables = frames.make(study, results, price, kept(store, [e.id for e in study.wanted]))
        files = editions.files_of(study, tables)
        edition = editions.write(store, study.name, files)
        html, plots = page.make(store, study, tables, results, edition, price)
        held.check()
        editions.make_latest(store, study.name, edition, files)
        held.check()
        store.write(folder.report, html)
        own = {folder.object(name): entry for name, entry in edition.files.items()}
        own |= {folder.latest: pull.entry(edition.to_json()), folder.report: pull.entry(html)}
        pull.write_list(store, study.name, [e.id for e in study.wanted if e.id in results], own)
        completeness.record(store, study, results, price)
    return Published(store.url_of(folder.report), tables, plots)
