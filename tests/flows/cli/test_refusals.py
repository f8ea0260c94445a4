"""What the commands refuse, with exit code 2 and a sentence that says what to do."""

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from pipeline.plan.studies import study

RUN = study("smoke").experiments[0]


def refused(*words):
    answer = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert answer.exit_code == 2
    return " ".join(answer.output.split())


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["plan", "digits.py"], "cannot read the study"),
        (["bench", "--requests", "many"], "--requests wants workers and runs, 1000x10000"),
        (["bench", "--throttled"], "add --requests 100x1000"),
        (["plan", "cifar"], "Did you mean cifar-smoke or cifar-100?"),
        (["reproduce", "digit"], "Did you mean digits?"),
        (["pull", "digit", "there"], "Did you mean digits?"),
        (["run", "--network", "model-a", "--data", "digit"], "Did you mean digits?"),
        (["run", "--network", "strided-cnn"], "Did you mean strided-cnn-a or strided-cnn-b"),
        (["status", "all-cnn"], "write more of it"),
        (["status", "digist"], "unknown study or run 'digist'. Did you mean digits"),
        (["reproduce", "digist"], "Did you mean digits"),
        (["status", "smoek"], "Did you mean smoke"),
        (["table", "digits"], "strive reproduce"),
        (["table", "digits", "--format", "xls"], "md, csv"),
        (["table", "digits", "--kind", "errors"], "cells, rates"),
        (["pull", "digits", "there"], "strive reproduce digits"),
        (["networks", "all-cnn-d"], "all-cnn-c"),
        (["run", "all-cnn-c.digits"], "write more of it"),
        (["run", "all-cn-c.digits.lr0.02.s0"], "`strive status` those of the store"),
        (["run", RUN.id, "--epochs", "3"], "--epochs is for a run of your own"),
        (["run", RUN.id, "--seed", "0"], "--seed is for a run of your own"),
        (["run", "--network", "model-a", "--width", "3"], "at most 1"),
        (["run", "--network", "model-a", "--data", "digits", "--batch", "10000"], "1,442 images"),
        (["reproduce", "digits", "--data-dir", "/nope"], "there is no folder /nope"),
        (["reproduce", "digits", "--data-dir", ""], "there is no folder ''"),
        (["reproduce", "digits", "--store", " "], "--store is empty: name a folder or s3://bucket/prefix"),
        (["reproduce", "digits", "--workers", "100001"], "100,000 workers at most"),
        (["reproduc"], "no such command 'reproduc'. Did you mean 'reproduce'? `strive -h` says"),
        (["reproduce", "--seeds", "x"], "'--seeds': it must be a whole number. `strive reproduce -h` says"),
        (["run", "--learning-rate", "x"], "'--learning-rate': it must be a number. `strive run -h` says"),
        (["reproduce", "--sed", "3"], "no such option: --sed (near: --seeds, --store). `strive reproduce -h` says"),
        (["reproduce", "--store"], "option '--store' requires an argument. `strive reproduce -h` says"),
        (["plan"], "missing argument 'STUDY'. `strive plan -h` says"),
        (["plan", "smoke", "digits"], "there is a word too many (digits). `strive plan -h` says"),
        (["run", "--network", "model-a", "--learning-rate", "1e300"], "--learning-rate must lie between"),
        (["run", "--network", "model-a", "--learning-rate", "nan"], "--learning-rate must lie between"),
        (["run", "--network", "model-a", "--epochs", "9999999999"], "--epochs must lie between 1 and 1,000,000"),
        (["run", "--network", "model-a", "--seed", "99999999999999999999"], "--seed must lie between 0 and"),
        (["check", "smoke", "--seeds", "0"], "--seeds must lie between 1 and 100, not 0"),
        (["networks", ""], "unknown network ''"),
        (["pull", "digits", "s3://bucket/x"], "DEST is a folder on this machine, not s3://bucket/x"),
        (["index"], "holds no runs, so it needs no front page"),
        (["figures", "--study", "digits", "--layers", " "], "--layers names no layer"),
        (["retry", ""], "a run's name is empty"),
        (["status", " "], "a run's name is empty"),
        (["table", "digits", "--kind", "readings"], "strive table readings"),
        (["table", "digits", "--kind", "claims"], "digits has no claims"),
        (["table", "readings", "--kind", "claims"], "--kind readings"),
        (["gallery", "digits", "--open", "--store", "s3://bucket/there"], "strive pull digits here --store"),
        (["retry", "x"], "unknown run"),
        (["run"], "--network"),
        (["run", "model-a", "--network", "model-a"], "--network"),
        (["run", "--network", "model-d"], "unknown network"),
        (["run", "--network", "model-a", "--data", "cifar11"], "unknown data set"),
        (["run", "--network", "model-a", "--width", "1/5"], "1/2, 1/3, 1/4"),
        (["run", "foo"], "`strive plan STUDY` lists"),
        (["run", "smoke"], "`strive plan smoke` lists"),
        (["figures", study("digits").experiments[0].id], "strive run"),
        (["figures"], "--study"),
        (["figures", "all-cnn-c", "--study", "digits"], "--study"),
        (["figures", "--study", "digits", "--images", "photo.png"], "--weights"),
        (["figures", "--network", "all-cnn-c", "--images", "photo.png"], "--weights"),
        (["figures", "--network", "all-cnn-c", "--weights", "w.pth"], "name the images"),
        (["figures", "--network", "all-cnn-c", "--weights", "w.pth", "--images", "no.png", "x/"], "there is no image"),
        (["figures", "--study", "digist"], "Did you mean digits"),
        (["figures", "--study", "digits"], "strive reproduce digits"),
        (["figures", "--study", "digits", "--images", "3:x"], "0:1000"),
        (["figures", "--study", "digits", "--methods", "giuded"], "Did you mean guided"),
        (["figures", "--study", "digits", "--precision", "float16"], "bfloat16 or float32"),
        (["figures", "--study", "digits", "--top", "0"], "between 1 and 100"),
        (["figures", "--study", "digits", "--channels", "0"], "between 1 and 1000"),
        (["pull", "digits", ""], "DEST is empty"),
        (["reproduce", "digits", "--images", "0:1000"], "355 test images"),
        (["reproduce", "digits", "--images", "0:999999999999"], "no data set has 999,999,999,999 images"),
        (["reproduce", "digits", "--images", "²"], "0:1000"),
        (["gallery", "digist"], "Did you mean digits"),
        (["gallery", "digits"], "strive reproduce digits"),
        (["plan", "digits", "--seeds", "0"], "--seeds"),
        (["reproduce", "digits", "--workers", "0"], "at least one worker"),
        (["plan", "digits", "--store", "ftp://x/y"], "s3://bucket/prefix"),
        (["plan", "digits", "--store", "/proc/x"], "cannot be made"),
    ],
)
def test_a_request_that_cannot_be_met_says_what_to_do(words, hint, tmp_path):
    if "--store" not in words and words[0] != "networks":
        words = [*words, "--store", str(tmp_path / "store")]
    assert hint in refused(*words)


@pytest.mark.parametrize("text", ["-1", "1.5", "two", "²"])
def test_a_number_of_workers_that_is_none_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.setenv("STRIVE_WORKERS", text)
    said = refused("reproduce", "digits", "--store", str(tmp_path / "store"))
    assert "STRIVE_WORKERS must be a whole number" in said
