"""A study's tables, from its results and the paper's numbers: pandas frames with the columns of schema.py."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.evaluation import table_4, table_claims, table_errors, table_rates, table_readings
from pipeline.evaluation.schema import TABLES, Column
from pipeline.plan.studies import Study
from pipeline.records.result import Result

TYPES = {"text": "str", "number": "float64", "count": "Int64", "flag": "boolean"}
DIGITS = 4  # decimals kept of percent, seconds and cost
P_VALUES = ("p", "p_against")  # kept to as many significant digits


def manifest(study: Study) -> dict:
    """Which runs and which claims make up the study."""
    return {
        "study": study.name,
        "question": study.question,
        "comparable": study.comparable,
        "relation": study.relation,
        "scale": study.scale,
        "runs": [e.id for e in study.experiments],
        "beside": [e.id for other in study.read_also for e in other.experiments],
        "claims": [
            f"{f'table {c.table}' if c.table else 'text'}: {c.network}, {c.dataset}" for c in study.published_errors
        ],
    }


def make(study: Study, results: Mapping[str, Result], price: float | None = None) -> dict[str, pd.DataFrame]:
    """Every table of a study by its kind; a pure function of the results, by run id."""
    if study.every_run:
        return {"readings": frame(table_readings.reading_rows(study, results), TABLES["readings"])}
    main = table_errors.error_rows(study, results, price)
    made = {
        "cells": main,
        "rates": table_rates.learning_rate_rows(study, results),
        "claims": table_claims.claim_rows(study, results),
        "neighbours": table_4.table_4_rows(
            [*main, *(row for other in study.read_also for row in table_errors.error_rows(other, results))]
        ),
    }
    return {kind: frame(rows, TABLES[kind]) for kind, rows in made.items()}


def frame(rows: list[dict[str, Any]], columns: tuple[Column, ...]) -> pd.DataFrame:
    """Rows as a frame of exactly these columns and types; what a row lacks is missing."""
    return pd.DataFrame(
        {c.name: pd.array([_kept(c, row.get(c.name)) for row in rows], dtype=TYPES[c.type]) for c in columns}
    )


def _kept(column: Column, value: Any) -> Any:
    if column.type == "text":
        return value or ""
    if column.type == "number" and value is not None:
        return float(f"{value:.{DIGITS}g}") if column.name in P_VALUES else round(float(value), DIGITS)
    return value
