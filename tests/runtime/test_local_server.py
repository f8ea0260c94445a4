"""What is said when the embedded Prefect server cannot start; that it starts: tests/flows/test_reproduce.py."""

from flows.local_server import _cause


def test_the_cause_is_the_error_and_not_uvicorns_last_line():
    said = "Traceback:\nsqlite3.OperationalError: unable to open database\n\nApplication startup failed. Exiting.\n"
    assert _cause(said) == "sqlite3.OperationalError: unable to open database"
    assert _cause("") == ""
