"""The commands as a user meets them: what they say of themselves, what they do, what they import."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from flows.cli.app import app
from flows.cli.options import find_run
from pipeline.plan.studies import study
from pipeline.store.objects import open_store
from pipeline.store.paths import RunFolder, StudyFolder

README = Path(__file__).parents[3] / "README.md"


def strive(*words):
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


SILENT = {"serve"}  # runs until it is stopped


@pytest.mark.parametrize(("name", "command"), typer.main.get_command(app).commands.items(), ids=lambda x: str(x))
def test_every_command_says_what_it_does_and_what_each_option_is_for(name, command):
    assert len(command.help.splitlines()[0].split()) > 3
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    assert all(option.help for option in options)
    assert ("--json" in [opt for option in options for opt in option.opts]) == (name not in SILENT)
    shown = strive(name, "-h").output
    assert f"strive {name}" in shown.split("Example")[1]
    assert shown == strive(name, "--help").output


def test_the_readme_lists_every_command():
    listed = re.findall(r"^\| `strive (\w+)", README.read_text(), re.MULTILINE)
    assert set(listed) == set(typer.main.get_command(app).commands)


def test_a_table_is_made_from_results_that_no_flow_has_published(store):
    one, two = study("smoke").experiments
    store.write_json(RunFolder(two.id).result, {"outcome": "crashed", "attempt": 3, "why": ["no memory"]})
    shown = strive("table", "smoke", "--store", store.url).output
    assert "1 crashed" in shown
    assert "1 not run" in shown
    store.write_json(RunFolder(one.id).result, {"outcome": "crashed", "attempt": 3, "why": ["no memory"]})
    assert strive("table", "smoke", "--store", store.url).output == shown
    assert "1 not run" not in strive("table", "smoke", "--fresh", "--store", store.url).output
    # made for two seeds, it stays a table of two seeds
    assert "1 crashed, 1 not run" in strive("table", "smoke", "--fresh", "--seeds", "2", "--store", store.url).output
    assert "1 crashed, 1 not run" in strive("table", "smoke", "--fresh", "--store", store.url).output
    # the page is made with it, and what can be pulled is what lies there
    assert "1 crashed, 1 not run" in store.read(StudyFolder("smoke").report).decode()
    assert strive("pull", "smoke", str(Path(store.url).parent / "pulled"), "--store", store.url).exit_code == 0


def test_retry_makes_a_crashed_run_missing(store):
    one = study("smoke").experiments[0]
    store.write_json(RunFolder(one.id).result, {"outcome": "crashed", "attempt": 3, "why": ["no memory"]})
    assert strive("retry", one.id, "--store", store.url).exit_code == 0
    again = strive("retry", one.id, "--store", store.url)
    assert again.exit_code == 2
    assert "is missing" in again.output


def test_serve_wants_a_server(tmp_path):
    code = "from flows.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve"],
        capture_output=True,
        text=True,
        env={n: v for n, v in os.environ.items() if n.startswith("PYTHON")}
        | {"PREFECT_HOME": str(tmp_path), "PATH": ""},
        check=False,
    )
    assert done.returncode == 2
    assert "prefect server start" in done.stderr


def test_light_commands_import_nothing_heavy(store):
    code = f"""
import sys
from typer.testing import CliRunner
from flows.cli.app import app
for words in (["--help"], ["networks"], ["plan", "digits"], ["status", "digits"], ["table", "digits"]):
    CliRunner().invoke(app, [*words, *(["--store", {store.url!r}] if len(words) > 1 else [])])
heavy = {{"torch", "ray", "prefect", "pandas", "s3fs", "sklearn"}} & set(sys.modules)
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_work_that_is_done_says_so(store):
    for one in study("smoke").experiments:
        store.write_json(RunFolder(one.id).result, {"outcome": "crashed", "attempt": 3, "why": ["no memory"]})
    assert "nothing is left to train" in strive("work", "smoke", "--store", store.url).output


def test_work_of_more_than_an_hour_wants_a_yes(store):
    long = study("table-3").experiments[0].id
    for words in (["run", long], ["work", "table-3"]):
        answer = strive(*words, "--store", store.url)
        assert answer.exit_code == 2
        assert re.search(r"about \d+ (days|h)", answer.output)
        assert "--yes" in answer.output
    assert store.names("") == []


def test_an_own_run_says_its_id_and_how_long_it_takes_before_it_begins(store):
    words = "run --network all-cnn-c --width 1/2 --epochs 50 --batch 256 --learning-rate 0.05 --data cifar10 --seed 0"
    answer = strive(*words.split(), "--store", store.url)
    assert answer.exit_code == 2
    assert re.match(r"all-cnn-c\.cifar10\.w2\.e50\.b256\.lr0\.05\.s0\.[0-9a-f]{8}: about \d+ h", answer.output)
    assert "add --yes" in answer.output
    assert store.names("") == []


def test_every_command_takes_a_study_by_its_file(store, monkeypatch):
    monkeypatch.setenv("STRIVE_STUDIES", "")
    file = str(README.with_name("docs") / "my_study.py")
    for words in (["plan"], ["status"], ["reproduce", "--dry-run"]):
        assert "all-cnn-c-5x5.digits" in strive(words[0], file, *words[1:], "--store", store.url).output
    for words in (["table", file], ["gallery", file], ["pull", file, "there"], ["figures", "--study", file]):
        answer = strive(*words, "--store", store.url)
        assert answer.exit_code == 2
        # as it can be typed here: the path, and the store
        relative = f"{README.parent / 'docs' / 'my_study.py'}".removeprefix(f"{Path.cwd()}/")
        assert f"`strive reproduce {relative} --store {store.url}`" in answer.output
    assert find_run(store, "all-cnn-c-5x5.digits.lr0.004.s0").network.name == "all-cnn-c-5x5"


def test_methods_have_other_names():
    from flows.cli.image_words import method_names

    assert method_names("guided-backprop, BACKPROP,deconvolution,guided") == ("guided", "backprop", "deconvnet")


def test_runs_in_the_examples_of_help_are_one_run_each(store):
    text = " ".join(command.epilog for command in typer.main.get_command(app).commands.values())
    ids = set(re.findall(r"`strive (?:run|retry) ([a-z][\w.-]*)`", text))
    assert ids
    assert all(find_run(store, id).id.startswith(id) for id in ids)


def test_names_are_taken_in_any_case(store):
    assert "1,369,738" in strive("networks", "ALL-CNN-C").output
    assert strive("plan", "Table-3", "--store", store.url).exit_code == 0


def test_version_names_the_commit():
    root = Path(__file__).parents[3]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True).stdout
    env = {"GIT_DIR": "/nowhere", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli.app", "--version"], capture_output=True, text=True, check=True, env=env
    )
    assert head[:12] in done.stdout
    assert version("strive") in done.stdout
