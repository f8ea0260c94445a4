"""The bench's arithmetic by hand, and its yardstick against the network that it stands beside."""

import pytest
import torch

from pipeline.bench import baseline, overheads, scaling
from pipeline.bench.clock import matrix_rate
from pipeline.bench.step_cost import Cost, cost, data_share
from pipeline.bench.worker import BenchProcess
from pipeline.bench.workload import Fast, Workload, drawn
from pipeline.numerics.fast.precision import Mode
from pipeline.numerics.model import build, count_parameters
from pipeline.paper.networks import TWELVE, narrow
from pipeline.paper.shapes import training_flops
from pipeline.store.objects import open_store

THIN = narrow(TWELVE["convpool-cnn-b"], 12)
WORK = Workload(batch=4, steps=1, repeats=1, images=20)


@pytest.mark.parametrize("name", TWELVE)
def test_the_plain_loop_trains_the_same_network(name):
    thin = narrow(TWELVE[name], 12)
    theirs, ours = baseline.modules(thin), build(thin)
    assert count_parameters(theirs) == count_parameters(ours)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        other.data.copy_(mine.data)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(theirs.eval()(x), ours.eval()(x), rtol=1e-4, atol=1e-6)


def test_both_loops_train():
    """Either takes a batch and changes its weights."""
    work = Workload(batch=4, steps=1, repeats=1, images=4)
    loop, fast = baseline.Loop(THIN, work.recipe, *drawn(4), "cpu"), Fast([THIN], work, "cpu", Mode())
    models = [loop.model, fast.trainers[0].model]
    before = [[p.detach().clone() for p in model.parameters()] for model in models]
    assert [loop.step(), fast.step()] == [4, 4]
    for model, old in zip(models, before, strict=True):
        assert not any(torch.equal(a, b) for a, b in zip(old, model.parameters(), strict=True))


def test_costs_by_hand():
    """Through two networks in 0.02 s: 100 images a second, and a batch of 4 in 80 ms.

    A machine that multiplies matrices twice as fast as that is used by half.
    """
    rates = {"float32": 2 * training_flops(THIN) / 0.01, "bfloat16": 1.0}
    found = cost([THIN, THIN], "1/12", "fast", "float32", WORK, [0.02, 0.01, 0.05], rates)
    assert (found.images_per_second, found.slowest, found.fastest) == pytest.approx((100, 40, 200))
    assert found.us_per_step == pytest.approx(80_000)
    assert (found.share_of_matrix_rate, found.time_over_floor) == pytest.approx((0.5, 2))
    assert found.flops_per_second == pytest.approx(100 * training_flops(THIN))
    in_bfloat16 = {"bfloat16": rates["float32"], "float32": 1.0}
    again = cost([THIN, THIN], "1/12", "fast", "bfloat16 graph", WORK, [0.02, 0.01, 0.05], in_bfloat16)
    assert again.share_of_matrix_rate == pytest.approx(0.5)


def test_one_image_through_all_networks_costs_the_sum():
    def at(speed: float) -> Cost:
        return cost([THIN], "1/4", "fast", "float32", WORK, [1 / speed], {"float32": 1e9})

    points = scaling.networks([at(100), at(1000), at(50)])
    assert [point.at for point in points] == [1, 2, 3]
    assert [point.cost for point in points] == pytest.approx([1, 11, 31])
    assert scaling.picture(points).startswith(b"\x89PNG")


def test_what_surrounds_a_step_leaves_nothing_in_the_store(tmp_path):
    store = open_store(str(tmp_path))
    around = overheads.around(THIN, WORK, "cpu", store)
    assert all(value > 0 for value in around.values())
    assert store.names("") == []
    assert 0 < data_share(THIN, WORK, "cpu") < 1
    assert matrix_rate("cpu", torch.float32, 0) > 1e8


@pytest.mark.ci
def test_a_process_that_was_killed_is_told_and_closed():
    process = BenchProcess("plain", "cpu")
    assert process.prepare([THIN], WORK) == "float32"
    process._process.kill()
    for ask in (process.run, process.start):
        with pytest.raises(RuntimeError, match="ended with code -9"):
            ask()
    process.close()
