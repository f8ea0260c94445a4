"""Commands about pictures, on a store whose path has characters that mean something in addresses."""

import webbrowser
from urllib.parse import unquote, urlsplit

from support.finished import trained
from typer.testing import CliRunner

from flows.cli.app import app
from pipeline.store.objects import open_store
from pipeline.store.paths import StudyFolder


def test_the_page_that_a_browser_opens_is_the_one_that_was_written(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    store = trained(open_store(str(tmp_path / "100% mine? #1")))
    done = CliRunner().invoke(app, ["gallery", "smoke", "--open", "--store", store.url], catch_exceptions=False)
    assert done.exit_code == 0
    [address] = map(urlsplit, opened)
    assert (address.scheme, address.query, address.fragment) == ("file", "", "")
    assert unquote(address.path) == store.url_of(StudyFolder("smoke").gallery)
