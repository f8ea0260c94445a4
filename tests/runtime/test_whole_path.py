"""A path that a person names is refused in a sentence where there can be none."""

import os

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from pipeline.data.own_data import own_dataset
from pipeline.errors import UserError
from pipeline.plan import study_files
from pipeline.publication.pull import pull
from pipeline.runtime.settings import cache
from pipeline.store.objects import open_store

LONG = "x" * 300  # more than the 255 bytes that a name may have


@pytest.mark.parametrize("path", ["~no-such-user/x", LONG])
@pytest.mark.parametrize(
    "words",
    [
        ["plan", "smoke", "--store", "{}"],
        ["reproduce", "smoke", "--dry-run", "--data-dir", "{}"],
        ["plan", "{}.py"],
        ["run", "--network", "all-cnn-c", "--data", "npz:{}"],
    ],
)
def test_every_command_refuses_a_path_that_cannot_be(words, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, [word.format(path) for word in words])
    assert answer.exit_code == 2
    assert answer.output.startswith("strive: ")
    assert not any(tmp_path.iterdir())


def test_a_path_of_the_environment_is_refused_too(tmp_path, monkeypatch):
    monkeypatch.setenv(study_files.VARIABLE, "~no-such-user/mine.py")
    with pytest.raises(UserError, match="no home folder is known"):
        study_files.own_studies(())
    with pytest.raises(UserError, match="File name too long"):
        pull(open_store(str(tmp_path)), "smoke", tmp_path / LONG)


def test_a_link_that_leads_nowhere_is_no_store_and_no_data(tmp_path):
    for name, to in (("nowhere", tmp_path / "gone"), ("loop", tmp_path / "loop")):
        (tmp_path / name).symlink_to(to)
        with pytest.raises(UserError, match="a link that leads nowhere"):
            open_store(str(tmp_path / name))
        with pytest.raises(UserError, match="there is nothing at"):
            own_dataset(f"npz:{tmp_path / name}")


def test_a_working_directory_that_is_gone_is_named(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    with pytest.raises(UserError, match="working directory is gone"):
        open_store("strive-store")


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_294_000_000)  # of no account, as in many containers
    with pytest.raises(UserError, match="set HOME or XDG_CACHE_HOME"):
        cache()
