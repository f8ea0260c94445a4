"""Laws of a folder as a store: what an operating system or a file system lacks or refuses."""

import os
import subprocess
import sys
from errno import EIO, EPERM

import pytest

from pipeline.errors import StoreAway, StoreRefused
from pipeline.store.objects import open_store


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path, monkeypatch):
    """As in an outage of a network's file system: runs would lose their checkpoints, and studies their runs."""
    store = open_store(str(tmp_path), 0)
    store.write("runs/one/attempts/1/checkpoint/3.json", b"{}")
    scandir = os.scandir

    def away(folder):
        if str(folder).endswith("attempts/1"):
            raise OSError(EIO, "Input/output error", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", away)
    with pytest.raises(StoreAway, match="Input/output error"):
        store.names("runs")
    monkeypatch.setattr(os, "scandir", scandir)
    store = open_store(str(tmp_path))
    assert store.names("runs") == ["one/attempts/1/checkpoint/3.json"]
    assert store.names("runs/one/attempts/1/checkpoint/3.json") == []


def test_errors_are_understood_where_some_of_linux_are_not_known():
    """macOS has no EREMOTEIO."""
    code = (
        "import errno; del errno.EREMOTEIO; from pipeline.store.faults import os_fault; "
        "print(os_fault(OSError(errno.EIO, '')).kind)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "away\n"


def test_a_file_system_without_hard_links_is_named(tmp_path, monkeypatch):
    """exFAT, as on memory cards: link(2) is not permitted there, to root either."""

    def link(*_):
        raise OSError(EPERM, "Operation not permitted")

    store = open_store(str(tmp_path))
    monkeypatch.setattr(os, "link", link)
    with pytest.raises(StoreRefused, match="makes no hard links"):
        store.create("x", b"first")
    assert list((tmp_path / ".tmp").iterdir()) == []
