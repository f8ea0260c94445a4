"""An attempt's key in the listing of all runs (store/standings.py), from its lease to its end.

Nothing rests on it: where the store is away, the key stays as it is, and the next who looks closer sees the truth.
"""

from contextlib import suppress

from pipeline.errors import StoreAway
from pipeline.records.attempt import Owner
from pipeline.records.result import Result
from pipeline.store import standings
from pipeline.store.objects import Store


class Listed:
    """The key of one attempt on the run `id`."""

    def __init__(self, store: Store, id: str, attempt: int, owner: Owner):
        self.store, self.id, self.attempt = store, id, attempt
        self._path = standings.live_path(id, attempt, owner)

    def show(self, heartbeat: bytes = b"", epochs: int = 0) -> None:
        """The attempt is at work, and so far."""
        with suppress(StoreAway):
            self.store.write(self._path, standings.padded(heartbeat, epochs))

    def leave(self, epochs: int) -> None:
        """The attempt has ended without a result."""
        with suppress(StoreAway):
            self.store.write(standings.left_path(self.id, self.attempt), standings.padded(b"", epochs))
            self.store.delete(self._path)

    def remove(self) -> None:
        """Another attempt has taken the run over."""
        with suppress(StoreAway):
            self.store.delete(self._path)

    def finish(self, result: Result) -> None:
        """The run has its result, from this attempt."""
        with suppress(StoreAway):
            standings.note_result(self.store, self.id, result)
            if self.attempt == 1:
                self.store.delete(self._path)
            else:
                standings.clear(self.store, self.id)
