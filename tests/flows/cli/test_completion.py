"""The shell's completion, asked as a shell asks it."""

import os
import subprocess
import sys

import pytest

from pipeline.plan.studies import study
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder

RUN = study("smoke").experiments[0]


def completed(line, **env):
    """What bash is offered for a line that ends where the cursor is."""
    words = {**os.environ, **env, "_STRIVE_COMPLETE": "complete_bash", "COMP_WORDS": f"strive {line}"}
    words["COMP_CWORD"] = str(len(line.split(" ")))
    code = "from flows.cli.app import app; app(prog_name='strive')"
    done = subprocess.run([sys.executable, "-c", code], env=words, capture_output=True, text=True)
    assert done.stderr == ""  # it would stand in the line that is being typed
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("plan dig", "digits"),
        ("status dig", "digits"),
        ("networks strided", "strided-cnn-a"),
        ("networks All", "All-cnn-c"),
        ("run --network model", "model-b"),
        ("run --data image", "imagefolder:"),
        ("run --data cifar1", "cifar100"),
        ("run --preprocess s", "scale"),
        ("table digits --kind cl", "claims"),
        ("table digits --format t", "tex"),
        ("figures --study dig", "digits"),
        ("figures --methods backprop,g", "backprop,guided"),
        ("figures --precision b", "bfloat16"),
        ("figures --part tr", "train"),
        ("work digits --network mod", "model-a"),
    ],
)
def test_words_are_completed(line, offered):
    assert offered in completed(line)


@pytest.mark.parametrize("command", ["run", "status", "retry", "figures"])
def test_runs_of_a_folder_are_completed(command, tmp_path):
    store = open_store(str(tmp_path))
    store.write_json(RunFolder(RUN.id).experiment, RUN.plain())
    assert completed(f"{command} strided", STRIVE_STORE=store.url) == [RUN.id]
    assert completed(f"{command} --store {store.url} strided") == [RUN.id]


def test_a_bucket_is_not_asked():
    assert completed("run strided", STRIVE_STORE="s3://bucket/there", AWS_ENDPOINT_URL="http://127.0.0.1:9") == []


def test_settings_that_the_command_will_refuse_complete_nothing():
    assert completed("run strided", STRIVE_WORKERS="many") == []
