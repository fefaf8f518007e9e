"""The generator that looks ahead: its Adam is the optimiser's, and its gradient passes through the steps."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from experiments.mixtures import ring
from experiments.points import PointDiscriminator, PointGenerator
from experiments.unrolled import Adam, UnrolledGeneratorUpdater
from training.growth import Stage
from training.objectives import OBJECTIVES
from training.optim.spec import OptimizerSpec
from training.optim.spec import adam as adam_of
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch
from training.updaters.adversarial import GeneratorUpdater
from training.updaters.images import latents

STATE = TrainState(0, 100, 0)
OBJECTIVE = OBJECTIVES["non-saturating"]


def _batch() -> Batch:
    rng = KeyedRNG(0, 0, 16, slice(0, 16), torch.device("cpu"))
    return Batch(rng.draw("reals", ring(8, 0.1).sample), None, rng, Stage(1, 16))


def _pair() -> tuple[PointGenerator, PointDiscriminator, torch.optim.Adam]:
    torch.manual_seed(0)
    g, d = PointGenerator(2, 8, 4), PointDiscriminator(2, 8)
    return g, d, torch.optim.Adam(d.parameters(), lr=0.01, betas=(0.5, 0.999))


def _updater(
    g: PointGenerator, d: PointDiscriminator, adam: torch.optim.Adam, steps: int
) -> UnrolledGeneratorUpdater:
    ahead = OptimizerSpec(adam, lambda _: 0.01)
    return UnrolledGeneratorUpdater("g", g, adam_of(g, 0.01), d, OBJECTIVE, ahead=ahead, unrolled_steps=steps)


def _step(d: PointDiscriminator, adam: torch.optim.Adam, reals: Tensor, fakes: Tensor) -> None:
    adam.zero_grad()
    OBJECTIVE.d(d([reals]).logits, d([fakes]).logits).backward()
    adam.step()


@pytest.mark.parametrize("before", [0, 3])
def test_the_weights_to_come_are_those_of_the_optimiser(before: int) -> None:
    g, d, adam = _pair()
    reals = _batch().reals
    fakes = g(latents(g, _batch()))[-1].detach()
    for _ in range(before):
        _step(d, adam, reals, fakes)
    now = {name: weight.clone() for name, weight in d.state_dict().items()}
    ahead = _updater(g, d, adam, 4).unrolled([reals], [fakes])
    assert all(torch.equal(now[name], weight) for name, weight in d.state_dict().items())
    assert adam.state[next(d.parameters())].get("step", 0) == before
    for _ in range(4):
        _step(d, adam, reals, fakes)
    for name, weight in d.named_parameters():
        assert torch.allclose(ahead[name], weight, atol=1e-6)
        assert not torch.allclose(ahead[name], now[name], atol=1e-3)


def test_without_steps_it_is_the_plain_generators_updater() -> None:
    g, d, adam = _pair()
    plain = GeneratorUpdater("g", g, adam_of(g, 0.01), d, OBJECTIVE)
    gradients = [
        torch.autograd.grad(updater.compute_loss(_batch(), STATE).loss, list(g.parameters()))
        for updater in (plain, _updater(g, d, adam, 0), _updater(g, d, adam, 2))
    ]
    for one, same, other in zip(*gradients, strict=True):
        assert torch.allclose(one, same)
        assert not torch.allclose(one, other, rtol=0.1)


def test_the_gradient_passes_through_the_steps() -> None:
    """It is that of finite differences, which a discriminator whose steps were constants would not give."""
    g, d, adam = _pair()
    for network in (g, d):
        network.double()
    g.layers[1] = g.layers[3] = d.layers[1] = d.layers[3] = nn.Softplus()
    updater, drawn = _updater(g, d, adam, 2), _batch()
    batch = replace(drawn, reals=drawn.reals.double())
    g.prior = lambda count, rng: torch.randn(count, 4, generator=rng).double()  # type: ignore[method-assign]
    bias = g.layers[4].bias
    fakes = [g(latents(g, batch))[-1].detach()]
    _step(d, adam, batch.reals, fakes[0])  # from here on the moments are not 0
    (slope,) = torch.autograd.grad(updater.compute_loss(batch, STATE).loss, bias)

    def loss_at(change: float) -> float:
        with torch.no_grad():
            bias[0, 0, 1] += change
        loss = updater.compute_loss(batch, STATE).loss.item()
        with torch.no_grad():
            bias[0, 0, 1] -= change
        return loss

    assert slope[0, 0, 1].item() == pytest.approx((loss_at(1e-5) - loss_at(-1e-5)) / 2e-5, rel=1e-5)


def test_weights_that_never_had_a_gradient_have_a_finite_slope() -> None:
    weight = nn.Parameter(torch.ones(3))
    gradient = torch.tensor([0.0, 1.0, -1.0], requires_grad=True)
    adam = torch.optim.Adam([weight], lr=0.1)
    moved = Adam(adam, weight).step(weight.detach(), gradient)
    assert moved.tolist() == pytest.approx([1, 0.9, 1.1])
    assert torch.autograd.grad(moved.sum(), gradient)[0].isfinite().all()
