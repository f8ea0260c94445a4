"""Witnesses: counts of a fair coin, the hash written out in whole numbers, laws of what may change nothing."""

import pytest
import torch
from torch import nn

from pipeline.numerics.dropout import (
    MIX,
    PER_WORD,
    KeyedDropout,
    begin_batch,
    dropout_mask,
    dropouts,
    epoch_keys,
    hash_words,
    threshold,
)

SHAPE = torch.Size([64, 5, 6, 7])


def masks(seed=0, epoch=0, layer=0, images=64, p=0.5):
    return dropout_mask(epoch_keys(seed, epoch, layer + 1, images)[layer], SHAPE, p, torch.float32)


def test_a_mask_is_the_hash_of_the_images_key_and_the_values_number():
    """In Python's whole numbers: row, column, channel is the order in which values are numbered."""
    keys, p = epoch_keys(0, 0, 1, 64)[0], 0.3
    factor = dropout_mask(keys, SHAPE, p, torch.float32)
    table = hash_words(-(-SHAPE[1:].numel() // PER_WORD), "cpu").tolist()
    for image, channel, row, column in ((0, 0, 0, 0), (63, 4, 5, 6), (7, 3, 0, 5), (31, 1, 4, 2)):
        number = (row * SHAPE[3] + column) * SHAPE[1] + channel
        product = keys[image].item() * table[number // PER_WORD] % 2**64
        upper = (product >> 32) - (2**32 if product >= 2**63 else 0)
        sixteen = upper * MIX % 2**64 >> 16 * (number % PER_WORD) & 0xFFFF
        signed = sixteen - 2**16 if sixteen >= 2**15 else sixteen
        expected = 1 / (1 - p) if signed >= threshold(p) else 0.0
        assert factor[image, channel, row, column].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.05, 0.2, 0.5])
def test_it_drops_its_share_and_keeps_the_mean(p, dtype):
    shape = torch.Size([200, 10, 10, 10])
    factor = dropout_mask(epoch_keys(1, 2, 1, 200)[0], shape, p, dtype)
    scale = torch.tensor(1 / (1 - p), dtype=dtype)
    assert set(factor.unique().tolist()) == {0.0, scale.item()}
    # 200,000 draws: four standard errors are at most 0.0045
    assert (factor == 0).float().mean().item() == pytest.approx(p, abs=0.0045)


def test_values_and_images_are_dropped_independently():
    """Of 2,000 fair coins a correlation has a standard error of 0.022: the largest of a million is near 5 of them."""
    shape = torch.Size([2000, 2000])
    coins = dropout_mask(epoch_keys(0, 0, 1, 2000)[0], shape, 0.5, torch.float32) - 1
    for table in (coins, coins.T):
        correlations = table @ table.T / 2000
        off = correlations[~torch.eye(2000, dtype=torch.bool)]
        assert off.std().item() == pytest.approx(2000**-0.5, rel=0.01)
        assert off.abs().max().item() < 6 * 2000**-0.5


def test_masks_follow_from_seed_layer_and_epoch():
    assert torch.equal(masks(0, 3), masks(0, 3))
    for other in (masks(0, 4), masks(1, 3), masks(0, 3, layer=1)):
        assert not torch.equal(masks(0, 3), other)


def test_neither_the_batch_nor_the_worker_nor_the_length_of_an_epoch_changes_a_mask():
    keys = epoch_keys(0, 0, 1, 64)[0]
    whole = dropout_mask(keys, SHAPE, 0.5, torch.float32)
    p = keys[1:20:3]
    assert torch.equal(dropout_mask(p, torch.Size([len(p), *SHAPE[1:]]), 0.5, torch.float32), whole[1:20:3])
    assert torch.equal(epoch_keys(0, 0, 1, 30)[0], keys[:30])


def test_the_layer_passes_on_what_it_kept_forward_and_backward():
    model = nn.Sequential(KeyedDropout(0.5))
    begin_batch(model, epoch_keys(0, 0, len(dropouts(model)), 64))
    x = torch.ones(SHAPE, requires_grad=True)
    model(x).sum().backward()
    assert torch.equal(x.grad, masks())
    assert torch.equal(model.eval()(x), x)


def test_without_keys_training_is_refused():
    with pytest.raises(RuntimeError, match="begin_batch"):
        KeyedDropout(0.5)(torch.ones(3))
