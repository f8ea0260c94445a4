"""A study's error table: results and claims -> rows -> Parquet, CSV, Markdown."""

import io

import pandas as pd

from pipeline.paper.claims import Claim
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
    runs = pd.DataFrame([_run(store, e.id, e.network.name, e.seed) for e in study.experiments])
    claims = {claim.network: claim for claim in study.claims}
    rows = [_row(str(name), group, claims.get(str(name))) for name, group in runs.groupby("network", sort=False)]
    return pd.DataFrame(rows)


def _run(store: Store, id: str, network: str, seed: int) -> dict:
    result = store.find_json(RunFolder(id).result) or {"outcome": "not run"}
    done = result["outcome"] == "done"
    return {
        "network": network,
        "seed": seed,
        "id": id,
        "outcome": result["outcome"],
        "error": 100 * result["wrong"] / result["seen"] if done else None,
        "parameters": result.get("parameters"),
        "seconds": result.get("seconds") if done else None,
    }


def _row(network: str, runs: pd.DataFrame, claim: Claim | None) -> dict:
    errors = runs["error"].astype(float)
    outcomes = runs["outcome"].value_counts()
    return {
        "network": network,
        "error %": round(errors.mean(), 2),
        "std": round(errors.std(), 2),  # over seeds; empty for one
        "seeds": int(errors.count()),
        "outcomes": ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())),
        "parameters": int(runs["parameters"].max()) if runs["parameters"].notna().any() else None,
        "seconds": round(runs["seconds"].astype(float).mean(), 1),
        PAPER: claim.error if claim else None,
        "runs": " ".join(runs["id"]),
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
