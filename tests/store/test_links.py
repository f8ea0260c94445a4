"""Addresses that open in a browser."""

import httpx
import pytest

from pipeline.store.links import link
from pipeline.store.objects import open_store


@pytest.mark.s3
def test_a_signed_address_opens_the_page_without_keys(s3):
    store = open_store(f"{s3}/links")
    store.write("studies/one/report.html", b"<p>here</p>")
    answer = httpx.get(link(store, "studies/one/report.html"))
    assert (answer.status_code, answer.content) == (200, b"<p>here</p>")
    assert answer.headers["content-type"].startswith("text/html")


def test_a_public_address_goes_first_and_a_folder_has_none(tmp_path, monkeypatch):
    store = open_store(str(tmp_path))
    assert link(store, "studies/one/report.html") is None
    monkeypatch.setenv("STRIVE_PUBLIC_STORE", "https://results.example.org/strive/")
    assert link(store, "studies/one/report.html") == "https://results.example.org/strive/studies/one/report.html"
