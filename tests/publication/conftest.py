"""Stores with the runs of the study smoke."""

import pytest
from support.finished import trained

from pipeline.store.objects import open_store


@pytest.fixture
def smoke(tmp_path):
    return trained(open_store(str(tmp_path / "store")))


@pytest.fixture
def anywhere(store):
    return trained(store)
