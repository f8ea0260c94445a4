"""A bucket, where the libraries for it can be imported: s3fs costs a second, and folders need none of it."""

from typing import TYPE_CHECKING

from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.store.s3 import Bucket


def bucket(url: str) -> "tuple[Bucket, tuple[type[Exception], ...]]":
    """The objects below s3://bucket/prefix, and the errors of its client that another try may not meet."""
    insist_on_fsspec()
    from pipeline.store.s3 import TRANSIENT, Bucket

    return Bucket(url), TRANSIENT


def insist_on_fsspec() -> None:
    """UserError where fsspec, which reads its settings when it is imported, cannot: Ray and Prefect import it, too."""
    try:
        import fsspec  # noqa: F401
    except ImportError:
        raise
    except Exception as error:  # of JSON, of ini files, of their contents
        said = " ".join(f"{type(error).__name__}: {error}".split())
        where = "FSSPEC_CONFIG_DIR, else ~/.config/fsspec"
        raise UserError(f"fsspec cannot read its settings ({said}): correct the files in {where}") from error
