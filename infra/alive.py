"""`alive.py ADDRESS...` ends with 0 when every one answers: http://... with a good status, tcp://... with a connection.

For health checks: a slim image has no curl, and starting `ray` only to ask costs seconds of CPU each time.
"""

import socket
import sys
from urllib.parse import urlsplit
from urllib.request import urlopen

SECONDS = 4.0


def ask(address: str) -> None:
    """Raises OSError when nothing answers there."""
    parts = urlsplit(address)
    if parts.scheme == "tcp":
        socket.create_connection((parts.hostname, parts.port), SECONDS).close()
    else:
        urlopen(address, timeout=SECONDS).close()


if __name__ == "__main__":
    for address in sys.argv[1:]:
        try:
            ask(address)
        except OSError as error:
            sys.exit(f"{address}: {error}")
