"""Minibatch standard deviation, against closed forms."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.layers.minibatch import GroupStdDev, MinibatchStdDev, PerSample
from models.layers.normalization import local_moments


def _stddev(x: NDArray[np.float64]) -> float:
    """One scalar: biased standard deviation over the batch, averaged over channels and pixels."""
    return float(np.sqrt(x.var(axis=0) + 1e-8).mean())


@pytest.mark.parametrize("shape", [(12, 1, 1, 1), (5, 3, 4, 4), (2, 8, 2, 2), (1, 3, 4, 4)])
def test_minibatch_stddev_is_one_scalar_over_the_whole_batch(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    y = MinibatchStdDev()(torch.from_numpy(x))
    assert y.shape == (shape[0], shape[1] + 1, *shape[2:])
    np.testing.assert_array_equal(y[:, :-1], x)
    np.testing.assert_allclose(y[:, -1], np.full((shape[0], *shape[2:]), _stddev(x)), rtol=1e-9)


def test_minibatch_stddev_by_hand() -> None:
    x = torch.tensor([0.0, 0, 0, 0, 1, 2, 3, 4, 100, 200, 300, 400], dtype=torch.float64).view(12, 1, 1, 1)
    # mean 1010 / 12, mean square 300030 / 12
    expected = (300030 / 12 - (1010 / 12) ** 2) ** 0.5
    assert MinibatchStdDev()(x)[:, 1].flatten().tolist() == pytest.approx([expected] * 12)


def test_minibatch_stddev_computes_in_float32_under_bf16() -> None:
    x = (torch.randn(16, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.01 + 1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = MinibatchStdDev()(x)
    assert y.dtype == torch.bfloat16
    assert y[0, -1, 0, 0].item() == pytest.approx(_stddev(x.double().numpy()), rel=2**-8)


def test_minibatch_stddev_derivatives() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(MinibatchStdDev(), x)
    assert torch.autograd.gradgradcheck(MinibatchStdDev(), x)


def test_minibatch_stddev_takes_its_moments_from_whoever_trains() -> None:
    layer = MinibatchStdDev()
    x = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    whole = layer(x)[:3]
    layer.moments = lambda own, dims: local_moments(
        torch.cat([own, x[3:]]), dims
    )  # with another process's samples
    torch.testing.assert_close(layer(x[:3]), whole)


SCALARS = torch.tensor([0.0, 0, 0, 0, 1, 2, 3, 4, 100, 200, 300, 400]).view(12, 1, 1, 1)


def test_groups_are_dealt_out_in_turn() -> None:
    """Groups {0, 0, 3, 200}... would be wrong twice over: neither neighbours, nor tiled along the wrong axis."""
    y = GroupStdDev(4)(SCALARS)
    assert torch.equal(y[:, :1], SCALARS)
    assert y[:, 1].flatten().tolist() == pytest.approx([86.1782, 129.1905, 163.5566] * 4, abs=1e-4)


@pytest.mark.parametrize(
    ("batch", "group", "size"),
    [(12, 4, 4), (12, 5, 4), (14, 4, 2), (3, 4, 3), (6, 4, 3), (14, 16, 14), (1, 4, 1), (5, 4, 1)],
)
def test_a_group_is_as_large_as_divides_the_batch(batch: int, group: int, size: int) -> None:
    x = np.random.default_rng(0).normal(size=(batch, 3, 2, 4))
    y = GroupStdDev(group)(torch.from_numpy(x))
    assert y.shape == (batch, 4, 2, 4)
    np.testing.assert_array_equal(y[:, :-1], x)
    groups = batch // size
    expected = [_stddev(x[i % groups :: groups]) for i in range(batch)]
    np.testing.assert_allclose(
        y[:, -1], np.array(expected)[:, None, None].repeat(2, 1).repeat(4, 2), rtol=1e-9
    )


def test_one_group_of_all_is_the_one_scalar_form() -> None:
    x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(GroupStdDev(8)(x), MinibatchStdDev()(x))
    assert not torch.allclose(GroupStdDev(3)(x), MinibatchStdDev()(x))


def test_group_stddev_computes_in_float32_under_bf16() -> None:
    x = (torch.randn(4, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.01 + 1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = GroupStdDev(4)(x)
    assert y.dtype == torch.bfloat16
    assert y[0, -1, 0, 0].item() == pytest.approx(_stddev(x.double().numpy()), rel=2**-8)


def test_group_stddev_derivatives() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(GroupStdDev(3), x)
    assert torch.autograd.gradgradcheck(GroupStdDev(3), x)


def test_groups_are_of_the_batch_that_whoever_trains_knows() -> None:
    layer = GroupStdDev(4)

    def second_half(function: PerSample, own: Tensor) -> Tensor:
        return function(torch.cat([SCALARS[:6], own]))[6:]  # the first half is another process's

    whole = layer(SCALARS)
    layer.over_batch = second_half
    torch.testing.assert_close(layer(SCALARS[6:]), whole[6:])
