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


def test_a_link_that_leads_nowhere_is_no_folder_to_fetch_into(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(UserError, match="is a link that leads nowhere"):
        pull(open_store(str(tmp_path / "store")), "smoke", tmp_path / "loop")


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "{}/pipe.py"],
        ["plan", "{}/folder.py"],
        ["run", "--network", "all-cnn-c", "--data", "npz:{}/pipe.npz"],
        ["run", "--network", "all-cnn-c", "--data", "imagefolder:{}"],
        ["figures", "--network", "all-cnn-c", "--weights", "{}/pipe.npz", "--images", "{}/pipe.png"],
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
@pytest.mark.timeout(60)
def test_what_might_never_end_is_not_read(words, tmp_path):
    for part in ("train", "val"):
        (tmp_path / part / "a").mkdir(parents=True)
    for name in ("pipe.py", "pipe.npz", "pipe.png", "train/a/1.png", "val/a/1.png"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "folder.py").mkdir()
    answer = CliRunner().invoke(app, [word.format(tmp_path) for word in words] + ["--store", str(tmp_path / "store")])
    assert answer.exit_code == 2
    assert answer.output.startswith("strive: ")


def test_an_image_that_is_a_pipe_is_refused_by_name(tmp_path):
    from pipeline.visualization.own_images import files_of

    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match="neither a file nor a folder"):
        files_of([str(tmp_path / "pipe.png")])
    with pytest.raises(UserError, match="holds no images"):
        files_of([str(tmp_path)])


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
