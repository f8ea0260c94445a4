"""A new database of the embedded Prefect server, with all its tables at once.

Prefect makes them by more than a hundred migrations, which take seconds of the first command on a machine. What these
leave behind is `prefect_schema.sql`. With another version of Prefect than the file's, the migrations are run.
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

SCHEMA = Path(__file__).with_suffix(".sql")
DATABASE = "prefect.db"  # in Prefect's home


def create(home: Path) -> None:
    """Make the database in this home, unless there is one or the schema is of another version."""
    part = home / f"{DATABASE}.{os.getpid()}"
    with suppress(OSError, sqlite3.Error):  # then the migrations are run, and say what is wrong
        schema = SCHEMA.read_text(encoding="utf-8")
        if (home / DATABASE).exists() or not schema.startswith(head(version("prefect"))):
            return
        try:
            with closing(sqlite3.connect(part)) as database:
                database.executescript(f"BEGIN; {schema} COMMIT;")
            os.link(part, home / DATABASE)  # unless another process was quicker
        finally:
            part.unlink(missing_ok=True)


def head(prefect: str) -> str:
    """The first line of the schema of this version of Prefect."""
    return f"-- Prefect {prefect}; written by `python -m flows.prefect_schema`\n"


def migrated() -> str:
    """The schema that Prefect's own migrations make."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
        env = {n: v for n, v in os.environ.items() if not n.startswith("PREFECT_")}  # no database of the user's
        subprocess.run(command, env=env | {"PREFECT_HOME": home}, cwd=home, check=True, stdout=subprocess.DEVNULL)
        return head(version("prefect")) + dumped(Path(home, DATABASE))


def dumped(path: Path) -> str:
    """The SQL that makes this database: tables, indexes, and the number of its last migration."""
    made = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type = 'index', name"
    with closing(sqlite3.connect(path)) as database:
        statements = [sql for (sql,) in database.execute(made)]
        [(revision,)] = database.execute("SELECT version_num FROM alembic_version").fetchall()
    statements.append(f"INSERT INTO alembic_version VALUES ('{revision}')")
    return "".join(f"{sql};\n" for sql in statements)


if __name__ == "__main__":
    SCHEMA.write_text(migrated(), encoding="utf-8")
