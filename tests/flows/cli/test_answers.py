"""How a command ends that is stopped, once or impatiently."""

import asyncio
import errno
import os
import signal
import sys
import time
from unittest.mock import Mock

import pytest
import typer
from typer.testing import CliRunner

from flows.cli.answers import interruptible
from flows.cli.app import app
from flows.cli.stop import stoppable


@pytest.fixture(autouse=True)
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background commands ignore it,
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and those of nohup this one
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def code_of(stopped: BaseException) -> int:
    return stopped.exit_code if isinstance(stopped, typer.Exit) else stopped.code


@pytest.mark.parametrize("more", [(), (signal.SIGINT,), (signal.SIGTERM, signal.SIGHUP)])
@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "stopped"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "terminated")]
)
def test_a_stop_says_what_is_kept_however_often_it_is_asked_for(number, word, more, capsys):
    done = []

    @interruptible(lambda: "All is kept.")
    def work():
        try:
            os.kill(os.getpid(), number)
        finally:
            for again in more:
                os.kill(os.getpid(), again)
            done.append("what was started has ended")

    with pytest.raises((typer.Exit, SystemExit)) as ended:
        work()
    assert done
    assert code_of(ended.value) == 128 + number
    assert capsys.readouterr().err == f"\nstrive: {word}. All is kept.\n"


def test_a_command_of_nohup_outlives_its_terminal(capsys):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    done = []
    with interruptible(lambda: "All is kept."):
        os.kill(os.getpid(), signal.SIGHUP)
        done.append("it goes on")
    assert done
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert capsys.readouterr().err == ""


WORDS = {signal.SIGINT: "stopped", signal.SIGTERM: "terminated", signal.SIGHUP: "terminated"}
LOOKS = {
    "doctor": "flows.cli.doctor.examine_all",
    "check": "flows.cli.check._chosen",
    "work": "flows.cli.training.study",
}


@pytest.mark.parametrize("number", list(WORDS))
@pytest.mark.parametrize("command", list(LOOKS))
def test_a_command_that_only_looks_says_that_it_was_stopped(command, number, monkeypatch, tmp_path, capsys):
    def look(*_):
        os.kill(os.getpid(), number)
        time.sleep(10)

    monkeypatch.setattr(LOOKS[command], look)
    words = [command, *(["smoke"] if command == "work" else []), "--store", str(tmp_path)]
    with pytest.raises(SystemExit) as ended, stoppable():
        app(words)
    assert ended.value.code == 128 + number
    assert capsys.readouterr().err == f"\nstrive: {WORDS[number]} before it was done: run the same command again.\n"


@pytest.fixture
def serve(monkeypatch):
    """`strive serve`, where a function stands for making the deployments and another for serving them."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for name in ("PREFECT_SERVER_ANALYTICS_ENABLED", "PREFECT_CLIENT_RETRY_EXTRA_CODES"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setattr("flows.cli.serve.configured", lambda: Mock(url="http://here/api"))

    def run(make, serve_all) -> int:
        monkeypatch.setattr("flows.deployments.registered", make)
        monkeypatch.setattr("flows.deployments.serve_all", serve_all)
        with pytest.raises(SystemExit) as ended, stoppable():
            app(["serve"])
        return ended.value.code

    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_that_it_was_stopped(serve, number, capsys):
    async def stopped():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as Prefect's runner does
        os.kill(os.getpid(), number)
        await asyncio.sleep(10)

    assert serve(dict, lambda _: asyncio.run(stopped())) == 128 + number
    assert capsys.readouterr().err == f"\nstrive: {WORDS[number]}.\n"


@pytest.mark.parametrize("number", list(WORDS))
def test_serve_that_still_waits_for_the_server_says_so_too(serve, number, capsys):
    assert serve(lambda: os.kill(os.getpid(), number), lambda _: None) == 128 + number
    assert capsys.readouterr().err.startswith(f"\nstrive: {WORDS[number]} before it was done")


def test_a_command_that_has_said_what_is_kept_says_no_more(capsys):
    with pytest.raises(SystemExit) as ended, stoppable(), interruptible(lambda: "All is kept."):
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 143
    assert capsys.readouterr().err == "\nstrive: terminated. All is kept.\n"


def test_work_that_has_ended_leaves_the_signals_to_what_follows(capsys):
    @stoppable()
    def work():
        with interruptible(lambda: "All is kept."):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(SystemExit) as ended:
        work()
    assert ended.value.code == 130
    assert "before it was done" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        ImportError("libtorch_cuda.so: failed to map segment from shared object", name="torch"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_machine_without_memory_is_told_in_one_sentence(error, monkeypatch, tmp_path):
    monkeypatch.setattr("flows.cli.training.study", Mock(side_effect=error))
    done = CliRunner().invoke(app, ["work", "smoke", "--store", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stderr == "strive: no memory is left: free some, or allow more to this user (ulimit -v)\n"
