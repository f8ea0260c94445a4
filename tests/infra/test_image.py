"""What can be said of the image and of the compose file's limits without an engine."""

import importlib.util
import re
from pathlib import Path

import pytest


def script(name: str):
    """infra/NAME.py as a module; not by its folder's path, where secrets.py would hide the library's."""
    spec = importlib.util.spec_from_file_location(f"infra_{name}", Path(__file__).parents[2] / f"infra/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


alive, reader = script("alive"), script("reader")
UNITS = {"m": 2**20, "g": 2**30}


def stages(root) -> list[list[str]]:
    """The Dockerfile's instructions, stage by stage, without comments and line breaks."""
    text = re.sub(r"^#.*\n", "", (root / "infra/Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("FROM "):
            found.append([])
        if found and line.strip():
            found[-1].append(line)
    return found


def test_no_text_and_no_code_comes_before_the_libraries(root):
    libraries, ours = stages(root)[2:]
    assert [line for line in libraries if line.startswith(("COPY", "ADD"))] == [
        "COPY --from=lock /srv/strive/libraries.txt /srv/strive/torch.txt /tmp/"
    ]
    assert any("uv pip install --no-deps --require-hashes" in line for line in libraries)
    assert ours[0] == "FROM libraries"
    assert not any("torch" in line or "requirements" in line for line in ours)
    lock = stages(root)[1]
    assert [line for line in lock if line.startswith("COPY")] == ["COPY pyproject.toml uv.lock ./"]


def test_bases_and_images_of_others_are_exact(root, services):
    base = re.search(r"^ARG PYTHON=(\S+)$", (root / "infra/Dockerfile").read_text(), re.MULTILINE)[1]
    others = [s["image"] for s in services.values() if s["image"] != "strive"]
    for image in [base, *others]:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z-]+)?(@sha256:[0-9a-f]{64})?$", image), image


def test_every_service_has_a_limit_and_together_they_fit_a_small_host(services):
    total = 0
    for service in services.values():
        number, unit = re.fullmatch(r"(?:\$\{[A-Z]+_MEMORY:-)?(\d+)([mg])\}?", service["mem_limit"]).groups()
        total += int(number) * UNITS[unit]
    assert total <= 23 * 2**30


def test_what_is_downloaded_and_what_a_host_has_lie_in_volumes_the_user_can_write(root, services):
    runner = services["runner"]
    places = [volume.rsplit("}")[-1].split(":")[1] for volume in runner["volumes"]]
    assert places == [runner["environment"]["STRIVE_DATA_DIR"], "/home/strive/.cache"]
    assert services["ray-worker"]["volumes"] == runner["volumes"][:1]  # where photographs are decoded
    text = (root / "infra/Dockerfile").read_text()
    owned = re.search(r"install --directory --owner=strive --group=strive (.+)$", text, re.MULTILINE)[1].split()
    assert {*places, re.search(r"STRIVE_STORE=(\S+)", text)[1]} <= set(owned)
    assert re.search(r"PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/\S+", text)


def test_a_check_counts_only_after_an_answer_and_in_a_row(tmp_path):
    assert [alive.counted(False, tmp_path, "1") for _ in range(4)] == [0, 0, 0, 0]
    assert alive.counted(True, tmp_path, "1") == 0
    assert [alive.counted(False, tmp_path, "1") for _ in range(4)] == [1, 2, 3, 4]
    assert alive.counted(True, tmp_path, "1") == 0
    assert alive.counted(False, tmp_path, "1") == 1
    assert alive.counted(False, tmp_path, "2") == 0  # the container was started anew


def test_a_check_ends_containers_only(monkeypatch):
    killed = []
    monkeypatch.setattr("os.kill", lambda *what: killed.append(what))
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setattr(alive, "INITS", ())
    alive.end(9)
    assert killed == []
    monkeypatch.setattr(alive, "INITS", (Path("/proc/1/comm").read_text(encoding="utf-8").strip(),))
    for failures in (2, 3, 4):
        alive.end(failures)
    assert killed == [(1, 15), (-1, 9)]
    monkeypatch.setattr("os.getuid", lambda: 0)
    alive.end(9)
    assert len(killed) == 2


def test_a_service_ends_itself_within_a_minute_of_its_last_answer(services):
    for name in ("prefect", "ray-head", "ray-worker", "runner"):
        check = services[name]["healthcheck"]
        assert "--or-end" in check["test"]
        slowest = float(check["interval"].rstrip("s")) + alive.SECONDS
        assert (alive.FAILURES + 1) * slowest <= 60


@pytest.mark.parametrize(
    ("store", "studies", "prefix"),
    [
        ("s3://a", "arn:aws:s3:::a/studies/*", "studies/*"),
        ("s3://a/b/c", "arn:aws:s3:::a/b/c/studies/*", "b/c/studies/*"),
    ],
)
def test_the_readers_policy_knows_the_stores_prefix(store, studies, prefix):
    get, listing = reader.policy(store)["Statement"]
    assert get["Resource"] == [studies, studies.replace("studies/*", "runs/*/figures/*")]
    assert listing["Resource"] == "arn:aws:s3:::a"
    assert listing["Condition"]["StringLike"]["s3:prefix"] == prefix
