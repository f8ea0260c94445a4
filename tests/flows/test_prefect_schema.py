"""The database that the embedded server begins with: Prefect's own migrations and SQLite say whether it is right."""

import sqlite3
from contextlib import closing
from pathlib import Path

import prefect.server.database
import pytest
from alembic.script import ScriptDirectory

from flows import prefect_schema

MIGRATIONS = Path(prefect.server.database.__file__).parent / "_migrations"
PREFECT = "flows.prefect_schema.version"


def tables(home: Path) -> set[str]:
    with closing(sqlite3.connect(home / "prefect.db")) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@pytest.mark.slow
def test_it_is_what_the_migrations_make():
    def lines(schema):  # the order of a table's constraints is another at each call
        return sorted(line.strip(", ") for line in schema.splitlines())

    assert lines(prefect_schema.SCHEMA.read_text()) == lines(prefect_schema.migrated())


def test_it_stands_at_the_last_migration_of_the_installed_version(tmp_path):
    prefect_schema.create(tmp_path)
    scripts = ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS / "versions/sqlite")])
    with closing(sqlite3.connect(tmp_path / "prefect.db")) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(scripts.get_current_head(),)]
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert {"flow_run", "task_run", "log", "artifact"} < tables(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["prefect.db"]


def test_the_database_of_a_user_is_left_as_it_is(tmp_path):
    with closing(sqlite3.connect(tmp_path / "prefect.db")) as database:
        database.execute("CREATE TABLE mine (id)")
    prefect_schema.create(tmp_path)
    assert tables(tmp_path) == {"mine"}


def test_another_version_of_prefect_migrates(tmp_path, monkeypatch):
    monkeypatch.setattr(PREFECT, lambda _: "3.8.80")
    prefect_schema.create(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_left_to_prefect(tmp_path):
    prefect_schema.create(tmp_path / "not-there")
    assert list(tmp_path.iterdir()) == []
