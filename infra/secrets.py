"""Write `.env`, which docker-compose.yml reads: random secrets, for this user's eyes only.

The names are not those of the programs (AWS_..., RAY_...), for compose prefers the shell's variables to the file's.
"""

import os
import sys
from pathlib import Path


def random(count: int) -> str:
    """So many bytes in hexadecimal, which needs no quoting in a URL, in a shell, in compose.

    Not from the library `secrets`: this file's name hides it.
    """
    return os.urandom(count).hex()


def fresh() -> dict[str, str]:
    """Every secret of docker-compose.yml."""
    return {
        "POSTGRES_PASSWORD": random(24),
        "PREFECT_AUTH": f"strive:{random(24)}",  # user:password; the UI asks for it
        "RAY_TOKEN": random(32),
        "S3_ACCESS_KEY": random(10),
        "S3_SECRET_KEY": random(24),
    }


def write(file: Path) -> None:
    """Never over an existing file: the volumes were made with its secrets."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.writelines(f"{name}={value}\n" for name, value in fresh().items())


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    try:
        write(target)
    except FileExistsError:
        sys.exit(f"{target} exists and is kept: the volumes were made with its secrets. Delete both to start anew.")
    except OSError as error:
        sys.exit(f"cannot write {target}: {error.strerror}")
    print(f"{target} written")
