"""A driver that is stopped is not called a failure."""

import pytest

from pipeline.runtime.driver import Driver, FleetStopped


def test_what_was_stopped_did_not_fail():
    driver = Driver("code", {})  # Python's own prompt: it waits for more input
    driver.stop()
    with pytest.raises(FleetStopped):
        driver.wait()
