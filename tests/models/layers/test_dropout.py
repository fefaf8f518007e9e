"""Dropout."""

import pytest
import torch

from models.layers.dropout import Dropout


def test_dropout_zeroes_features_in_training_alone_and_keeps_the_mean() -> None:
    drop, x = Dropout(0.2), torch.ones(50, 40)
    torch.manual_seed(0)
    assert set(drop(x).unique().tolist()) == {0.0, 1.25}
    assert drop(x).mean() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(x), x)


def test_dropout_zeroes_single_features_or_whole_maps() -> None:
    torch.manual_seed(0)
    single, maps = (Dropout(maps=maps)(torch.ones(5, 8, 3, 3)).flatten(2) for maps in (False, True))
    assert torch.equal(maps, maps[..., :1].expand(5, 8, 9))
    assert not torch.equal(single, single[..., :1].expand(5, 8, 9))


def test_dropout_takes_its_coins_from_who_trains() -> None:
    drop = Dropout(0.5)
    drop.uniform = lambda shape: torch.tensor([[0.4, 0.5], [0.6, 0.4]]).expand(shape)
    assert torch.equal(drop(torch.ones(2, 2)), torch.tensor([[0.0, 2], [2, 0]]))
