"""A PostgreSQL server of the host's programs, in a folder of the test's."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.processes import free_port

USER = DATABASE = "prefect"


def programs() -> Path | None:
    """The folder of initdb and its like; None where PostgreSQL is not installed."""
    found = shutil.which("postgres")
    folder = Path(found).resolve().parent if found else None
    return folder if folder and (folder / "initdb").exists() else None


@contextmanager
def postgres(home: Path, password: str = "secret", port: int | None = None) -> Iterator[str]:
    """The address of a running server, as SQLAlchemy writes it; `home` is a new folder that others may enter."""
    folder, port, at = home / "postgres", port or free_port(), programs()
    assert at, "PostgreSQL is not installed"
    who: dict[str, Any] = (
        {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    )  # it refuses to run as root
    folder.mkdir()
    if who:
        shutil.chown(folder, **who)
    secret = home / "password"
    secret.write_text(password)
    secret.chmod(0o644)
    common: dict[str, Any] = {"env": os.environ | {"PGPASSWORD": password}, "cwd": "/", "capture_output": True, **who}
    make = [at / "initdb", "-D", folder, "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}"]
    subprocess.run(make, check=True, **common)
    with (home / "postgres.log").open("wb") as log:
        command = [at / "postgres", "-D", folder, "-p", str(port), "-h", "127.0.0.1", "-k", folder]
        process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, **who)
    try:
        create = [at / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", USER, DATABASE]
        until = time.monotonic() + 60
        while subprocess.run(create, check=False, **common).returncode != 0:
            assert time.monotonic() < until, (home / "postgres.log").read_text()
            time.sleep(0.5)
        yield f"postgresql+asyncpg://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"
    finally:
        process.terminate()
        process.wait(30)
