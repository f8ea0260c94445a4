"""A TCP proxy before a server, whose connections can be dropped, silenced or answered with 503."""

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Way = Literal["passes", "dropped", "silent", "503"]
NO = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Listens on a port of its own while its `with` block lasts; `way` says what becomes of what arrives."""

    def __init__(self, port: int):
        self._behind = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.way: Way = "passes"
        self.arrived = 0  # connections
        self._open = True

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._listener.close()

    @contextmanager
    def away(self, way: Way, seconds: float | None = None) -> Iterator[None]:
        """Inside, the server is away; with `seconds` for so long only."""
        self.way = way
        timer = threading.Timer(seconds, self.back) if seconds else None
        if timer:
            timer.start()
        try:
            yield
        finally:
            if timer:
                timer.join()
            self.back()

    def back(self) -> None:
        self.way = "passes"

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.arrived += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection; what was silenced is dropped once the server is back, as by a firewall that lost it."""
        with client:
            if self.way == "silent":
                self._hold()
                return
            if self.way == "503":
                client.recv(1 << 16)
                client.sendall(NO)
                return
            if self.way == "dropped":
                return
            with socket.create_connection(self._behind) as server:
                self._pump(client, server)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        with selectors.DefaultSelector() as ready, _broken():
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in ready.select(0.1):
                    if self.way != "passes":
                        break
                    source: socket.socket = key.fileobj  # pyright: ignore[reportAssignmentType]
                    if not (data := source.recv(1 << 16)):
                        return
                    key.data.sendall(data)
                if self.way == "silent":
                    return self._hold()
                if self.way == "503":
                    client.sendall(NO)
                if self.way != "passes":
                    return

    def _hold(self) -> None:
        while self._open and self.way == "silent":
            time.sleep(0.05)


@contextmanager
def _broken() -> Iterator[None]:
    """A connection that breaks is at its end."""
    try:
        yield
    except OSError:
        return
