"""The line of pandas that reads a study's main table from anywhere."""

from pipeline.runs.settings import endpoint
from pipeline.runs.store import Store, StudyFolder


def line(store: Store, study: str) -> str:
    """pd.read_parquet("s3://...", storage_options=...), the latter where the bucket is not Amazon's."""
    address = store.where(StudyFolder(study).table("parquet"))
    options = (
        f', storage_options={{"endpoint_url": "{endpoint()}"}}' if address.startswith("s3://") and endpoint() else ""
    )
    return f'pd.read_parquet("{address}"{options})'
