"""What a training is expected to take, beside what it took: one core with native bfloat16, nothing else at work."""

import pytest

from pipeline.plan.schedule import cpu_seconds
from pipeline.plan.studies import study


@pytest.mark.parametrize(
    ("name", "run", "seconds"),
    [
        ("table-3", "strided-cnn-a.cifar10.lr0.05.s0", 13_900),  # 39.7 s an epoch
        ("readings", "all-cnn-c.cifar10.e3.lr0.05.s0", 386),
        ("readings", "all-cnn-c.cifar10.w4.e3.lr0.25.s0", 45),
        ("readings", "strided-cnn-a.cifar10.w4.e3.lr0.05.s0", 13.1),
    ],
)
def test_an_estimate_is_within_a_factor_of_two_of_what_was_measured(name, run, seconds):
    this = next(e for e in study(name).wanted if e.id.startswith(run))
    assert seconds / 2 < cpu_seconds(this) < 2 * seconds
