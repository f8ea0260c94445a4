"""What a person sees while a study is reproduced; read from the store, so it works beside any flow."""

import sys
import threading
import time
from contextlib import suppress

from rich.console import Console
from rich.live import Live
from rich.table import Table

from flows.cli.runs import goes_on, in_short
from pipeline.errors import StoreError
from pipeline.paper.networks import printed_name
from pipeline.plan.experiment import Experiment
from pipeline.plan.studies import Study
from pipeline.plan.words import duration
from pipeline.store.objects import Store
from pipeline.store.paths import DatasetFolder, StudyFolder
from pipeline.training.progress import Progress, RunStatus, seconds_left, trainable

LINE_SECONDS = 5.0  # between plain lines at first, when the output is no terminal
MOST_SECONDS = 60.0  # between them later
AWAY_SECONDS = 10.0  # between two lines about a store that is away
ROWS = 40  # of the live table; a larger study shows only what is at work


class Display:
    """A thread that shows how far the runs are, as a live table on a terminal and as plain lines elsewhere."""

    def __init__(self, store: Store, study: Study, workers: int, console: Console, ray: bool = True):
        self._study, self._workers, self._console = study, workers, console
        self._begins = "starting the workers (Ray takes half a minute)" if ray else "beginning"
        self._store = store.within(0)  # the next look comes soon
        self._progress = Progress(self._store, list(study.wanted))
        self._seen: tuple[str, list[RunStatus]] = ("looking into the store", [])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show_while_read, name="display", daemon=True)
        self._reader = threading.Thread(target=self._look_on, name="display's look", daemon=True)
        self._began = time.monotonic()

    def __enter__(self) -> "Display":
        with suppress(StoreError):
            for status in self._progress.statuses():
                if status.state == "stopped":
                    self._console.print(f"{goes_on(status)}.", highlight=False, soft_wrap=True)
        self._reader.start()
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _look_on(self) -> None:
        """Read the store again and again, in a thread of its own: one that is silent keeps a call for a while."""
        every = 0.5 if self._console.is_terminal else LINE_SECONDS
        while not self._stop.wait(every):
            with suppress(StoreError):  # the stage says for how long
                standings = self._standings()
                self._seen = self._stage(standings), standings

    def _show_while_read(self) -> None:
        with suppress(OSError):  # the reader of a pipe is gone, or a disk is full: the work itself goes on
            self._show()

    def _show(self) -> None:
        if self._console.is_terminal:
            with Live(console=self._console, auto_refresh=False, transient=True) as live:
                while not self._stop.wait(0.5):
                    live.update(self._table(*self._now()), refresh=True)
            return
        said = ""
        while not self._stop.wait(self._pause()):
            line = self._line(*self._now())
            if line != said:
                self._console.print(f"{self._clock()}  {line}", highlight=False, soft_wrap=True)
                said = line

    def _pause(self) -> float:
        """Seconds to the next plain line: a training of hours fills no page with them."""
        return min(max(LINE_SECONDS, (time.monotonic() - self._began) / 20), MOST_SECONDS)

    def _standings(self) -> list[RunStatus]:
        """Of the runs that have come out or can be trained now; others wait for a learning rate to be chosen."""
        standings = self._progress.statuses()
        now = {s.experiment.id for s in trainable(self._study, standings)}
        return [s for s in standings if s.has_outcome or s.experiment.id in now]

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:5.0f} s"

    def _now(self) -> tuple[str, list[RunStatus]]:
        """The stage in words and the runs, as last seen; while the store is away, for how long it has been."""
        stage, standings = self._seen
        away = self._store.outage.seconds() // AWAY_SECONDS * AWAY_SECONDS
        if not away:
            return stage, standings
        return f"the store has not answered for {duration(away)}; training goes on, the rest waits for it", standings

    def _line(self, stage: str, standings: list[RunStatus]) -> str:
        running = [
            f"{printed_name(s.experiment.network.name)} s{s.experiment.seed} {in_short(s)}"
            for s in standings
            if s.state == "running"
        ]
        return "; ".join([stage, *running])

    def _stage(self, standings: list[RunStatus]) -> str:
        settled = sum(s.has_outcome for s in standings)
        if settled == len(standings):
            return f"{settled} of {settled} runs ended; verifying, table and pictures"
        if not self._prepared(self._study.experiments[0]):  # of others it is not asked: each costs a request
            return self._preparing()
        waits = self._waits()
        if not settled and not any(s.state == "running" for s in standings):
            return waits or self._begins
        left = seconds_left(standings, self._workers)
        line = f"training: {settled} of {len(standings)} runs ended, about {duration(left)} left"
        return f"{line}; {waits}" if waits else line

    def _waits(self) -> str:
        """What the fleet waits for, in a sentence; empty when it waits for nothing."""
        news = self._store.find_json(StudyFolder(self._study.name).news)
        return _text(news)

    def _prepared(self, experiment: Experiment) -> bool:
        return self._store.exists(_data(experiment).manifest)

    def _preparing(self) -> str:
        for folder in {_data(e).top: _data(e) for e in self._study.experiments}.values():
            if (news := self._store.find_json(folder.news)) is not None:
                return f"preparing the data: {_text(news)}"
        return "preparing the data"

    def _table(self, stage: str, standings: list[RunStatus]) -> Table:
        table = Table(title=f"{self._clock()}  {stage}", title_justify="left", box=None)
        for column in ("run", "state", "epoch", "error %"):
            table.add_column(column, justify="right" if column == "error %" else "left")
        shown = standings if len(standings) <= ROWS else [s for s in standings if s.state == "running"]
        for s in shown:
            table.add_row(
                s.experiment.label,
                s.state,
                in_short(s),
                "" if s.error_percent is None else f"{s.error_percent:.2f}",
                style={"running": "bold", "missing": "dim", "stopped": "dim", "done": ""}.get(s.state, "red"),
            )
        return table


def _data(experiment: Experiment) -> DatasetFolder:
    return DatasetFolder(experiment.dataset, experiment.recipe.preprocess)


def console() -> Console:
    """Standard error, for people: results alone go to standard output. Plain when it is no terminal or NO_COLOR is
    set."""
    wide = None if sys.stderr.isatty() else 160  # a file has no edge to wrap at
    return Console(file=sys.stderr, highlight=False, width=wide)


def _text(news: object) -> str:
    """What a piece of news says; empty where there is none, or something else."""
    text = news.get("text") if isinstance(news, dict) else None
    return text if isinstance(text, str) else ""
