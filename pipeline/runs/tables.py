"""A study's error table: results and claims -> rows -> Parquet, CSV, Markdown."""

import io
from typing import Any

import pandas as pd

from pipeline.plan.studies import Study
from pipeline.runs.store import RunFolder, Store, StudyFolder, sha256

FORMATS = ("parquet", "csv", "md")
PAPER = "paper: CIFAR-10 error %"


def manifest(study: Study) -> dict:
    """Which runs and which claims make up the study."""
    return {
        "study": study.name,
        "question": study.question,
        "comparable": study.comparable,
        "runs": [e.id for e in study.experiments],
        "claims": [f"table {c.table}: {c.network}, {c.dataset}" for c in study.claims],
    }


def table(store: Store, study: Study) -> pd.DataFrame:
    """One row a network, over its seeds; runs without a number are counted, never dropped."""
    runs = pd.DataFrame([_run(store, e.id, e.network.name) for e in study.experiments])
    frame = runs.groupby("network", sort=False, as_index=False).agg(
        **{
            "error %": ("error", "mean"),
            "std": ("error", "std"),  # over seeds; empty for one
            "seeds": ("error", "count"),
            "outcomes": ("outcome", _counted),
            "parameters": ("parameters", "max"),
            "seconds": ("seconds", "mean"),
            "runs": ("id", " ".join),
        }
    )
    claims = {claim.network: claim.error for claim in study.claims}
    frame.insert(len(frame.columns) - 1, PAPER, [claims.get(network, float("nan")) for network in frame["network"]])
    return frame.round({"error %": 2, "std": 2, "seconds": 1}).astype({"parameters": "Int64"})


def _counted(outcomes: pd.Series) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.value_counts().sort_index().items())


def _run(store: Store, id: str, network: str) -> dict:
    result: dict[str, Any] = store.find_json(RunFolder(id).result) or {"outcome": "not run"}
    done = result["outcome"] == "done"
    return {
        "network": network,
        "id": id,
        "outcome": result["outcome"],
        "error": 100 * result["wrong"] / result["seen"] if done else float("nan"),
        "parameters": result.get("parameters", float("nan")),
        "seconds": result["seconds"] if done else float("nan"),
    }


def markdown(frame: pd.DataFrame) -> str:
    """The table for people: without the run ids, numbers to their digits, nothing where there is no number."""
    digits = {"error %": ".2f", "std": ".2f", "parameters": ",.0f", "seconds": ".1f", PAPER: ".2f"}
    shown = frame.drop(columns="runs").astype(dict.fromkeys(digits, float))
    for column, form in digits.items():
        shown[column] = [format(value, form) if pd.notna(value) else "" for value in shown[column]]
    right = ["left" if column in ("network", "outcomes") else "right" for column in shown]
    return shown.to_markdown(index=False, disable_numparse=True, colalign=right)


def publish(store: Store, study: Study) -> tuple[pd.DataFrame, str]:
    """Make the table and put it under studies/<name>: the latest in place, every edition under its digest."""
    frame, folder = table(store, study), StudyFolder(study.name)
    parquet = io.BytesIO()
    frame.to_parquet(parquet, index=False)
    files = {
        "parquet": parquet.getvalue(),
        "csv": frame.to_csv(index=False).encode(),
        "md": (markdown(frame) + "\n").encode(),
    }
    digest = sha256(files["csv"])[:12]
    store.write_json(folder.manifest, manifest(study))
    for ending, data in files.items():
        store.create(folder.edition(digest, ending), data)
        store.write(folder.table(ending), data)
    return frame, digest
