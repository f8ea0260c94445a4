"""docker-compose.yml as parsed."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def services(root) -> dict[str, dict]:
    return yaml.safe_load((root / "docker-compose.yml").read_text())["services"]
