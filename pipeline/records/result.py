"""How a run came out, and what was proved of it."""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pipeline.records.record import Mismatch, Record

Outcome = Literal["done", "diverged", "dead", "crashed", "damaged"]


def error_percent(wrong: Any, seen: Any) -> Any:
    """The share of images classified wrongly, in percent; numbers or arrays of equal shape."""
    return 100 * wrong / seen


@dataclass(frozen=True)
class Digests:
    """SHA-256 of what a result rests on; empty where the run left none."""

    model: str = ""  # the weights
    history: str = ""  # history.parquet of the attempt
    dataset: str = ""  # the data set's manifest


@dataclass(frozen=True)
class Origin:
    """By which code, in which number format and on which machine an attempt trained. None: not known."""

    commit: str | None = None
    dirty: bool | None = None  # whether the checkout had changes
    lock_sha256: str | None = None  # of uv.lock
    python: str | None = None
    host: str | None = None
    processor: str | None = None
    device: str | None = None
    torch: str | None = None
    mode: str | None = None  # number format of the computation
    whitening_sha256: str | None = None  # of the whitening as computed


@dataclass(frozen=True)
class Summary(Origin):
    """What tables read of a run besides its counts, so that nothing else of it is read. None: not known.

    The origin is that of the attempt that ended the run.
    """

    network: str | None = None
    dataset: str | None = None
    augmented: bool | None = None
    lr: float | None = None
    seed: int | None = None
    revision: int | None = None  # of the numerics
    raw_sha256: str | None = None  # of the raw data
    devices: int | None = None
    device_seconds: float | None = None  # devices x seconds of training
    wasted_seconds: float = 0.0  # device-seconds of attempts whose work was lost
    earlier: tuple[Origin, ...] = ()  # other than this one, of earlier attempts that trained a part of the run

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Every origin of the run, that of its last attempt at the end."""
        return (*self.earlier, self)


@dataclass(frozen=True, kw_only=True)
class Result(Record):
    """How a run came out. Errors are counts of images. Of a crashed run only the attempts and their cost are known.

    A result with the outcome `damaged` stands, in memory alone, for one that cannot be trusted (store/results.py).
    """

    REMEDY: ClassVar[str] = "`strive check STUDY --repair` sets it aside; the run is then trained again."

    outcome: Outcome
    attempt: int  # the one that ended the run
    experiment_id: str = ""
    why: tuple[str, ...] = ()  # it ended early: one sentence, or one for each attempt that failed
    epochs: int = 0  # trained
    wrong: int = 0  # test images classified wrongly after the last epoch
    seen: int = 0  # test images
    train_loss: float | None = None  # of the last epoch; None where it is not finite
    parameters: int = 0  # weights and biases
    seconds: float = 0.0  # of all epochs, those of earlier attempts that this one took over included
    digests: Digests = Digests()
    weights: str = ""  # their object below the run's folder; "" of earlier code: model.safetensors
    weights_bytes: int = 0  # their length; 0: not known
    summary: Summary = Summary()

    def __post_init__(self):
        if not re.fullmatch(r"(attempts/\d+/model\.safetensors)?", self.weights):
            raise Mismatch(f"the field 'weights' cannot be {self.weights!r}")
        if self.is_measured and not 0 <= self.wrong <= self.seen != 0:
            raise Mismatch(f"a run that is {self.outcome} cannot have {self.wrong} wrong of {self.seen} images")

    @property
    def is_measured(self) -> bool:
        """Whether the run was trained and its errors counted."""
        return self.outcome not in ("crashed", "damaged")

    @property
    def error_percent(self) -> float | None:
        """The test error of a run that is done; None for every other outcome."""
        return error_percent(self.wrong, self.seen) if self.outcome == "done" else None

    @property
    def device_seconds(self) -> float:
        """What the training took, in device-seconds; results without a summary are of one device."""
        return self.seconds if self.summary.device_seconds is None else self.summary.device_seconds

    def plain(self) -> dict[str, Any]:
        """As JSON holds it: of a crashed run without the fields that only training can fill."""
        whole = super().plain()
        whole["why"] = list(self.why)
        for name in ("weights", "weights_bytes"):
            if not whole[name]:  # as earlier code wrote it
                del whole[name]
        if not self.summary.earlier:
            del whole["summary"]["earlier"]
        if self.is_measured:
            return whole
        cost = {name: whole["summary"][name] for name in ("device_seconds", "wasted_seconds")}
        return {name: whole[name] for name in ("outcome", "attempt", "experiment_id", "why")} | {"summary": cost}


@dataclass(frozen=True)
class Conditions:
    """What an evaluation of stored weights rests on beside them."""

    torch: str | None  # its version
    processor: str  # the model of the CPU
    revision: int  # of the numerics
    at: str = field(default="", compare=False)  # ISO 8601, UTC


@dataclass(frozen=True)
class Evaluation(Record):
    """The counts that stored weights were proved to make, in evaluations after the training."""

    REMEDY: ClassVar[str] = "`strive check STUDY --repair` removes it; the weights are then evaluated again."

    digests: Digests
    wrong: int
    seen: int
    under: tuple[Conditions, ...] = ()  # all under which they made these counts; earlier code did not say

    def confirms(self, result: Result) -> bool:
        """Whether it is about this very result, and says the same."""
        return (self.digests, self.wrong, self.seen) == (result.digests, result.wrong, result.seen)


@dataclass(frozen=True)
class Retry(Record):
    """A person's wish to train a run again whose outcome was not an error."""

    REMEDY: ClassVar[str] = "Delete it: the failures of all attempts on the run then count."
    SEALED: ClassVar[bool] = False

    after: int  # failures of attempts up to this one no longer count
    at: str = ""  # ISO 8601, UTC
    was: Any = None  # the result that was taken away, as it lay in the store
