"""BEGAN's k and its measure of convergence, of several ranks. Apart, as both processes import this file."""

from pathlib import Path

import torch
from torch import Tensor

from tests.training.ranks import on_ranks
from training.updaters.began import Equilibrium, errors


def _steps(part: slice) -> dict[str, Tensor]:
    """k and the measure after update steps, from this rank's part of the logits."""
    rng = torch.Generator().manual_seed(0)
    equilibrium = Equilibrium(gamma=0.5, k_rate=0.1)
    for _ in range(3):
        real, fake = -torch.rand(2, 8, generator=rng)[:, part]
        found = errors({"logits/real": real.mean(), "logits/fake": fake.mean() / 4})
        equilibrium.learn(*found)
    return {"k": equilibrium.k, "convergence": equilibrium.convergence(*found)}


def test_they_are_of_all_ranks(tmp_path: Path) -> None:
    one = _steps(slice(0, 8))
    assert 0 < one["k"] < 1
    assert not torch.isclose(one["k"], _steps(slice(0, 4))["k"])
    for found in on_ranks(_steps, tmp_path):
        for name, value in one.items():
            torch.testing.assert_close(found[name], value)
