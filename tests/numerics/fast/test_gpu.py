"""The checks that only a GPU can pass or fail."""

import pytest

pytest.importorskip("triton")

from pipeline.numerics.fast.self_check import CHECKS


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")  # torch warns of what a check asks it to watch
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_on_a_gpu(check):
    check()
