"""A pull brings what the list names, exactly, and nothing from outside."""

from pathlib import Path

import pytest
from support.finished import SMOKE

from flows.cli import figures
from pipeline.errors import UserError
from pipeline.publication import pull
from pipeline.publication.publish import publish
from pipeline.records.dataset import StoredObject
from pipeline.records.published import FileList
from pipeline.store.paths import RunFolder, StudyFolder


def test_a_pull_is_exact_and_is_gone_on_with(anywhere, tmp_path):
    publish(anywhere, SMOKE)
    to = tmp_path / "here"
    first = pull.pull(anywhere, "smoke", to)
    files = pull.listed(anywhere, "smoke") or {}
    assert first.fetched == len(files)
    assert {name: (to / name).read_bytes() for name in files} == {name: anywhere.read(name) for name in files}
    assert f"{RunFolder(SMOKE.experiments[0].id).top}/figures/guided-backprop.png" in files
    assert not any("editions/" in name for name in files)
    (to / "studies/smoke/table.csv").unlink()
    (to / "studies/smoke/table.md").write_text("broken off")
    again = pull.pull(anywhere, "smoke", to)
    assert (again.fetched, again.kept) == (2, len(files) - 2)
    assert (to / "studies/smoke/table.md").read_bytes() == anywhere.read("studies/smoke/table.md")


def test_a_pull_of_what_is_not_what_the_list_names_is_refused(smoke, tmp_path):
    with pytest.raises(UserError, match="strive reproduce smoke"):
        pull.pull(smoke, "smoke", tmp_path)
    publish(smoke, SMOKE)
    smoke.write("studies/smoke/table.csv", b"something else")
    with pytest.raises(UserError, match=r"table.csv is not what the study's list names"):
        pull.pull(smoke, "smoke", tmp_path)
    assert not (tmp_path / "studies/smoke/table.csv").exists()


def test_a_gallery_that_is_hung_anew_can_be_pulled(smoke, tmp_path):
    publish(smoke, SMOKE)
    where = figures.publish_gallery(smoke, SMOKE)
    smoke.write(f"{RunFolder(SMOKE.experiments[0].id).figures}/more.png", b"another picture")
    assert figures.publish_gallery(smoke, SMOKE) == where
    pull.pull(smoke, "smoke", tmp_path)
    assert (tmp_path / StudyFolder("smoke").gallery).is_file()
    assert (tmp_path / RunFolder(SMOKE.experiments[0].id).figures / "more.png").is_file()


def test_a_pull_to_what_is_no_folder_is_refused(smoke, tmp_path):
    publish(smoke, SMOKE)
    (tmp_path / "file").write_bytes(b"")
    for to in (tmp_path / "file", Path("s3://bucket/prefix")):
        with pytest.raises(UserError, match="no folder"):
            pull.pull(smoke, "smoke", to)


@pytest.mark.parametrize("path", ["studies/smoke/../../../outside", "/outside"])
def test_a_list_that_names_files_outside_is_refused(smoke, tmp_path, path):
    publish(smoke, SMOKE)
    files = pull.listed(smoke, "smoke") or {}
    smoke.write_record(StudyFolder("smoke").files, FileList(files=files | {path: StoredObject("", 0)}))
    with pytest.raises(UserError, match="nothing was fetched"):
        pull.pull(smoke, "smoke", tmp_path / "a" / "here")
    assert not (tmp_path / "a").exists()
