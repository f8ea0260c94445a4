"""Pictures of a run straight to the store: drawing goes on while earlier sheets are on their way."""

import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import torch

from pipeline.records.result import Digests
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder
from pipeline.visualization.catalogue import Picture
from pipeline.visualization.draw import render_picture
from pipeline.visualization.explained_model import ExplainedModel
from pipeline.visualization.notes import note
from pipeline.visualization.sheet import RenderedSheet

WRITERS = 4  # puts at once: a bucket answers each after tens of milliseconds
WAITING = 8  # sheets drawn and not yet put; drawing waits for more to leave


@dataclass(frozen=True)
class Rate:
    """How much was computed, and how fast."""

    maps: int = 0
    sheets: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(**{name: value + getattr(other, name) for name, value in asdict(self).items()})

    def plain(self) -> dict:
        """As `--json` prints it."""
        per = {
            "maps_per_second": round(self.maps / self.seconds, 1) if self.seconds else None,
            "maps_per_cpu_second": round(self.maps / self.cpu_seconds, 1) if self.cpu_seconds else None,
        }
        rounded = {"seconds": round(self.seconds, 2), "cpu_seconds": round(self.cpu_seconds, 2)}
        return {"maps": self.maps, "sheets": self.sheets} | rounded | per


def render(store: Store, id: str, pictures: Sequence[Picture]) -> Rate:
    """Draw these pictures of a finished run and put them into its folder; what is there is replaced by its equal."""
    torch.set_num_threads(1)
    wall, cpu = time.monotonic(), time.process_time()
    maps = sheets = 0
    for precision in dict.fromkeys(picture.precision for picture in pictures):
        subject = ExplainedModel(store, id, precision)
        with Uploads(store, RunFolder(id), subject.result.digests) as uploads:
            for sheet in render_picture(subject, [picture for picture in pictures if picture.precision == precision]):
                uploads.put(sheet)
                maps, sheets = maps + sheet.maps, sheets + 1
    return Rate(maps, sheets, time.monotonic() - wall, time.process_time() - cpu)


@dataclass
class Uploads:
    """Threads that put sheets into a run's folder: picture, arrays, then the note that says the picture is whole."""

    store: Store
    run: RunFolder
    digests: Digests
    _queue: queue.Queue = field(default_factory=lambda: queue.Queue(WAITING))
    _failed: list[BaseException] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Uploads":
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(WRITERS)]
        for thread in self._threads:
            thread.start()
        return self

    def put(self, sheet: RenderedSheet) -> None:
        """Hand over one sheet; waits while too many are on their way, raises what an earlier one failed with."""
        self._raise()
        self._queue.put(sheet)

    def __exit__(self, kind: type | None, *_: object) -> None:
        for _thread in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        if kind is None:
            self._raise()

    def _work(self) -> None:
        while (sheet := self._queue.get()) is not None:
            if self._failed:
                continue  # keep taking, so that `put` does not wait for us
            try:
                self._write(sheet)
            except BaseException as error:  # all that ends a thread; the next `put` raises it
                self._failed.append(error)

    def _write(self, sheet: RenderedSheet) -> None:
        name = sheet.picture.name(self.digests)
        png = sheet.png
        self.store.write(self.run.figure(f"{name}.png"), png)
        if sheet.arrays is not None:
            self.store.write(self.run.figure(f"{name}.npy"), sheet.arrays)
        files = {f"{name}.png": png} | ({f"{name}.npy": sheet.arrays} if sheet.arrays is not None else {})
        self.store.write(self.run.figure(f"{name}.json"), note(name, sheet.note, files))

    def _raise(self) -> None:
        if self._failed:
            raise self._failed[0]
