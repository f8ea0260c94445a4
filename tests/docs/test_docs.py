"""Every command that a page under docs/ shows is run, in order, as it stands there."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support.processes import STRIVE

from pipeline.numerics.model import build
from pipeline.paper.networks import TWELVE, narrow

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("own-*.md"))
REFUSED = {  # commands that are shown for another place than this, by how they begin: what they say here
    "serve": "no Prefect server is configured",
    "run --network all-cnn-c --width 1/2 --epochs 50": "add --yes",
}


def blocks(page, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what lies beside the pages, and with data that they name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    arrays = {}
    for number in range(30):  # cats have little red, dogs little green
        file = tmp_path / "all-photos" / ("cats", "dogs")[number % 2] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (40, 50, 3), np.uint8)
        pixels[:, :, number % 2] //= 4
        Image.fromarray(pixels).save(file)
    for part, count in (("train", 24), ("val", 6)):
        name = {"val": "test"}.get(part, part)
        arrays[f"{name}_images"] = random.integers(0, 256, (count, 32, 32), np.uint8)
        arrays[f"{name}_labels"] = np.arange(count) % 3
    np.savez(tmp_path / "letters.npz", **arrays)
    (tmp_path / "more").mkdir()
    shutil.copy(tmp_path / "all-photos/cats/00.png", tmp_path / "photo.png")
    shutil.copy(tmp_path / "all-photos/dogs/01.png", tmp_path / "more")
    weights = build(narrow(TWELVE["all-cnn-c"], 12)).state_dict()
    save_file({name: value.contiguous() for name, value in weights.items()}, tmp_path / "mine.safetensors")
    torch.save(weights, tmp_path / "mine.pth")
    for file in DOCS.iterdir():
        if file.suffix != ".md":
            shutil.copy(file, tmp_path)
    return tmp_path


def run(line):
    """The command's exit code and what it says."""
    words = shlex.split(line)
    given = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    command = words[len(given) :]
    programs = {"strive": STRIVE, "python": [sys.executable]}
    env = {**os.environ, "PREFECT_HOME": str(Path.cwd() / "prefect"), **given}
    program = [*programs[command[0]], *command[1:]]
    done = subprocess.run(program, capture_output=True, text=True, env=env, timeout=580, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.ray
@pytest.mark.prefect
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.ci
def test_every_command_of_a_page_does_what_it_says(page, place):
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    assert lines
    for line in lines:
        code, said = run(line)
        _, _, rest = line.partition("strive ")
        refusal = next((text for begin, text in REFUSED.items() if rest.startswith(begin)), None)
        assert code == (2 if refusal else 0), f"{line}: {said}"
        assert refusal is None or refusal in said, f"{line}: {said}"
        assert "imagefolder" not in line or "0.00 % error" in said, said  # color tells the classes apart
        assert "table my_photos" not in line or said.count("| 0.00 ") == 2, said


@pytest.mark.parametrize(
    ("page", "file"),
    [
        ("own-studies.md", "my_study.py"),
        ("own-data.md", "my_photos.py"),
        ("own-data.md", "split_photos.py"),
        ("own-images.md", "look_at_photo.py"),
        ("own-images.md", "other_model.py"),
    ],
)
def test_a_page_shows_the_file_that_lies_beside_it(page, file):
    assert (DOCS / file).read_text() in blocks(DOCS / page, "python")
    assert len((DOCS / file).read_text().splitlines()) < 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_short_and_its_links_lead_somewhere(page):
    text = page.read_text()
    assert len(text.split()) < 900
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", text)
    assert [path for path in linked if not (DOCS / path).exists()] == []
