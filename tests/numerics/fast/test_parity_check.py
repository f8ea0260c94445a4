"""The fast path is held against the model before it trains anything; the mistakes are those a rewrite could make."""

from dataclasses import replace

import pytest
import torch

from pipeline.errors import UserError
from pipeline.numerics.fast.parity_check import check_parity
from pipeline.numerics.fast.precision import PRECISIONS, Mode
from pipeline.numerics.fast.self_check import POOLED, small_trainer


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_fast_path_agrees_and_the_model_comes_back_as_it_was(precision):
    one = small_trainer(POOLED, mode=Mode(precision))
    one.model.train()
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    check_parity(one)
    assert one.model.training
    assert all(torch.equal(value, before[name]) for name, value in one.model.state_dict().items())
    with pytest.raises(RuntimeError, match="begin_batch"):  # no keys are left behind
        one.model(torch.zeros(1, 3, POOLED.side, POOLED.side))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("mistake", ["no dropout", "no ReLU", "a weight", "old weights"])
def test_another_network_is_refused(precision, mistake):
    one = small_trainer(POOLED, mode=Mode(precision))
    if mistake == "no dropout":
        one.table = [replace(row, drop=0.0) for row in one.table]
    elif mistake == "no ReLU":
        second = one.table[2]  # behind the pool: the largest of nine values is hardly ever below zero
        one.table[2] = replace(second, layer=replace(second.layer, relu=False))
    elif mistake == "a weight":
        one.weights.compute_params[0] = one.weights.compute_params[0].detach() * -1
    else:
        one.weights.compute_params = [torch.zeros_like(leaf) for leaf in one.weights.compute_params]
    with pytest.raises(UserError, match=r"the fast path does not compute .* Nothing was trained"):
        check_parity(one)
