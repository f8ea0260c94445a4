"""A study's tables, from its results and the paper's numbers: pandas frames with the columns of schema.py."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.evaluation import table_4, table_claims, table_errors, table_rates, table_readings
from pipeline.evaluation.replications import replication_rows
from pipeline.evaluation.schema import TABLES, Column
from pipeline.plan.study import Relation, Study
from pipeline.records.published import StudyManifest
from pipeline.records.replication import Replication
from pipeline.records.result import Result

TYPES = {"text": "str", "number": "float64", "count": "Int64", "flag": "boolean"}
DIGITS = 4  # decimals of percent, seconds and cost
P_VALUES = ("p", "p_against")  # with as many significant digits


def manifest(study: Study) -> StudyManifest:
    """What makes up the study."""
    return StudyManifest(
        study=study.name,
        question=study.question,
        comparable=study.comparable,
        relation=str(study.relation),
        scale=study.scale,
        runs=tuple(e.id for e in study.experiments),
        beside=tuple(e.id for other in study.read_also for e in other.experiments),
        claims=tuple(
            f"{f'table {c.table}' if c.table else 'text'}: {c.network}, {c.dataset}" for c in study.published_errors
        ),
    )


def make(
    study: Study,
    results: Mapping[str, Result],
    price: float | None = None,
    replications: Sequence[tuple[str, Replication]] = (),
) -> dict[str, pd.DataFrame]:
    """Every table of a study, by its kind.

    `results` are by run id, `price` is that of a device-hour, `replications` come with their runs' ids.
    """
    again = {"replications": replication_rows(study, replications)} if replications else {}
    if study.every_run:
        made = {"readings": table_readings.reading_rows(study, results), **again}
        return {kind: frame(rows, TABLES[kind]) for kind, rows in made.items()}
    main = table_errors.error_rows(study, results, price)
    made = {
        "cells": main,
        "rates": table_rates.learning_rate_rows(study, results),
        "claims": table_claims.claim_rows(study, results),
    }
    if study.relation is not Relation.OWN:  # Table 4 is the paper's
        beside = [row for other in study.read_also for row in table_errors.error_rows(other, results)]
        made["neighbours"] = table_4.table_4_rows([*main, *beside])
    return {kind: frame(rows, TABLES[kind]) for kind, rows in (made | again).items()}


def frame(rows: list[dict[str, Any]], columns: tuple[Column, ...]) -> pd.DataFrame:
    """The rows as a frame of exactly these columns and types; a value that a row lacks is missing (NA)."""
    return pd.DataFrame(
        {c.name: pd.array([_rounded(c, row.get(c.name)) for row in rows], dtype=TYPES[c.type]) for c in columns}
    )


def _rounded(column: Column, value: Any) -> Any:
    if column.type == "text":
        return value or ""
    if column.type == "number" and value is not None:
        return float(f"{value:.{DIGITS}g}") if column.name in P_VALUES else round(float(value), DIGITS)
    return value
