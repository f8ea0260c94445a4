"""A driver that is stopped is not called a failure."""

import pytest

from pipeline.errors import UserError
from pipeline.runtime.driver import Driver, FleetStopped


def test_what_was_stopped_did_not_fail():
    driver = Driver("code", {})  # Python's own prompt: it waits for more input
    driver.stop()
    with pytest.raises(FleetStopped):
        driver.wait()


def test_a_head_that_has_gone_is_named_in_a_sentence(tmp_path, monkeypatch):
    """What Ray 2.60 wrote when its head was killed, before it ended the driver's process with code 1."""
    said = "rpc_client.h:204: Failed to connect to GCS within 60 seconds. GCS may have been killed."
    (tmp_path / "dies_as_ray_does.py").write_text(f"print({said!r}); raise SystemExit(1)")
    monkeypatch.setattr("pipeline.runtime.driver.HOME", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    driver = Driver("dies_as_ray_does", {})
    with pytest.raises(UserError, match=r"the Ray head at RAY_ADDRESS=10.0.0.1:6379 has not answered"):
        driver.wait()
