"""The command where the user's environment hides libraries, closes streams, or prints to what takes nothing."""

import os
import signal
import subprocess
import sys
import time

import pytest

START = [sys.executable, "-P", "-c", "from strive_command import main; main()"]  # as the installed script does
REDIRECTED = ["-c", 'how=$1; shift; eval "\\"\\$@\\" $how"', "sh"]


def started(how, *words, cwd=None, shell="sh", **env):
    """What the command says when a shell starts it, redirected so."""
    env = {**{n: v for n, v in os.environ.items() if n != "PYTHONUNBUFFERED"}, **env}
    done = subprocess.run(
        [shell, *REDIRECTED, how, *START, *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("words", [["networks"], ["networks", "--json"], ["--help"], ["--version"]], ids=" ".join)
def test_a_standard_output_that_is_full_is_named(words):
    done = started(">/dev/full", *words)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot write to standard output: No space left on device" in done.stderr


@pytest.mark.parametrize("closed", [">&-", "<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_are_none_of_a_commands_business(closed):
    done = started(closed, "networks")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("Strided-CNN-A" in done.stdout) == (">" not in closed)


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word():
    done = started("| head -1", "networks", "all-cnn-c")
    assert (done.stdout, done.stderr) == ("All-CNN-C, 32x32 RGB\n", "")


@pytest.mark.parametrize("words", [[], ["reproduce", "-h"], ["networks"]], ids=str)
def test_a_reader_of_help_that_has_gone_ends_the_command_as_other_tools_end(words):
    done = started("| true; exit ${PIPESTATUS[0]}", *words, shell="bash")
    assert (done.returncode, done.stdout, done.stderr) == (141, "", "")


@pytest.mark.parametrize(
    "how", ["2>/dev/full", ">/dev/full 2>/dev/full", "2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}"]
)
@pytest.mark.parametrize("words", [["networks", "nosuch"], ["nosuch"]], ids=" ".join)
def test_a_standard_error_that_takes_nothing_changes_no_exit_code(words, how):
    assert started(how, *words, shell="bash").returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_terminal_cannot_show_is_shown_in_ascii(encoding, tmp_path):
    store = os.fsencode(tmp_path) + b"/\xff-\xce\xbb"  # no UTF-8, and a letter that Latin-1 lacks
    done = started("", "pull", "smoke", b"there", b"--store", store, PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    assert "strive reproduce smoke" in done.stderr
    done = started("", "plan", "smoke", b"--json", b"--store", store, PYTHONIOENCODING=encoding)
    assert done.returncode == 0


@pytest.mark.parametrize("text", ["0", "wide"])
@pytest.mark.parametrize("words", [["--help"], ["plan", "smoke"]], ids=" ".join)
def test_what_is_no_width_of_a_terminal_is_none(words, text, tmp_path):
    done = started("", *words, cwd=tmp_path, COLUMNS=text, TERMINAL_WIDTH=text)
    assert done.returncode == 0
    assert "smoke" in done.stdout or "reproduce" in done.stdout


@pytest.mark.parametrize("action", ["error", "default"])
def test_warnings_that_users_ask_for_are_of_their_own_code(action):
    code = """
import os, sys, warnings
from flows.cli.start import usual_python
usual_python()
warnings.warn("of a library", ResourceWarning)
sys.exit(len({"PYTHONWARNINGS", "PYTHONOPTIMIZE"} & set(os.environ)))
"""
    env = {**os.environ, "PYTHONWARNINGS": action, "PYTHONOPTIMIZE": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_ctrl_c_before_a_command_has_begun_is_no_traceback():
    code = "import flows.cli.start as s, os, signal; s.whole_streams = lambda: os.kill(os.getpid(), 2); s.main()"
    code = f"import signal; signal.signal(2, signal.default_int_handler); {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (130, "")


SAYS = """
import os, sys, time
import flows.cli.app, flows.cli.start as start

def command():
    print("a warning", file=sys.stderr)
    {}

flows.cli.app.main = command
start.main()
"""


def test_what_is_said_is_said_at_once():
    said = subprocess.run([sys.executable, "-P", "-c", SAYS.format("os._exit(9)")], capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (9, "a warning\n")


def test_a_signal_after_a_command_is_no_traceback():
    """While Python waits for a thread, as for Ray's end."""
    end = "import threading; threading.Thread(target=time.sleep, args=[20]).start()"
    with subprocess.Popen([sys.executable, "-P", "-c", SAYS.format(end)], stderr=subprocess.PIPE, text=True) as it:
        assert it.stderr.readline() == "a warning\n"
        time.sleep(1)
        it.terminate()
        said = it.stderr.read()
    assert it.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)
    assert "Traceback" not in said


ENDS = """
import atexit, flows.cli.start as start

class Large:
    def __del__(self):
        print("taken apart")

def answer():
    print("x" * 100_000)
    atexit.register(print, "said at the end")
    {}

large = Large()
start._answer = answer
start.main()
"""


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        ("", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('a sentence')", 1, "a sentence"),
        ("raise KeyError('a bug')", 1, "KeyError: 'a bug'"),
    ],
)
def test_a_command_ends_at_once_with_its_status_and_all_that_it_printed(end, status, error):
    done = subprocess.run(
        [sys.executable, "-P", "-c", ENDS.format(end)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == status
    assert done.stdout.startswith("x" * 100_000 + "\nsaid at the end\n")
    assert ("taken apart" in done.stdout) == (error == "a sentence")  # which Python itself prints
    assert error in done.stderr


def test_modules_of_pythonpath_hide_none_of_ours(tmp_path):
    for name in ("json", "select", "typing", "torch", "rich", "flows", "pipeline"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "mine.py").write_text("from helper import study")
    (tmp_path / "helper.py").write_text(
        "from pipeline.own import OwnStudy\nstudy = OwnStudy('mine', '?', ['all-cnn-c'], data='digits')"
    )
    for path in (str(tmp_path), ":/nowhere"):
        done = started("", "plan", "smoke", cwd=tmp_path, PYTHONPATH=path)
        assert (done.returncode, done.stderr) == (0, "")
    # a helper of a study of one's own is found as before
    assert "all-cnn-c.digits" in started("", "plan", "mine.py", cwd=tmp_path, PYTHONPATH=".").stdout
