"""Mutual information: InfoGAN's bound and MINE's, their closed forms, and what several ranks make of them."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.architectures.infogan import Codes
from models.discriminator import DiscriminatorOutput
from tests.training.ranks import on_ranks
from training.growth import Stage
from training.objectives.information import continuous_information, discrete_information
from training.objectives.mutual_information import (
    UnbiasedBound,
    adaptively_clipped,
    donsker_varadhan,
    estimate,
)
from training.rng import KeyedRNG
from training.system import Batch
from training.updaters.adversarial import Fakes, LossTerm
from training.updaters.infogan import CodeLoss

CODES = Codes(2, (3, 4))


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _fakes(codes: Tensor, read: Tensor) -> Fakes:
    count = len(codes)
    draws = KeyedRNG(0, 0, count, slice(0, count), torch.device("cpu"))
    batch = Batch(torch.zeros(count, 1, 8, 8), None, draws, Stage(8, count))
    noise = torch.randn(count, 5, generator=_rng())
    return Fakes(
        torch.cat([noise, codes], 1), [], DiscriminatorOutput(torch.zeros(count), latents=read), batch
    )


def test_a_code_that_is_read_gives_its_entropy_and_one_that_is_not_gives_nothing() -> None:
    code = F.one_hot(torch.arange(12) % 4, 4).float()
    assert discrete_information(code * 50, code).item() == pytest.approx(math.log(4))
    assert discrete_information(code * 0, code).item() == pytest.approx(0, abs=1e-6)
    assert discrete_information(-code, code) < 0


def test_the_continuous_bound_is_that_of_the_best_fitting_normal_distribution() -> None:
    code = torch.rand(20_000, 1, generator=_rng()) * 2 - 1
    guessed = continuous_information(code.square())  # the mean of the prior for all
    assert guessed.item() == pytest.approx(math.log(2) - 0.5 * math.log(2 * math.pi * math.e / 3), abs=0.01)
    assert guessed < 0
    for error in (0.1, 0.3):
        noise = torch.randn(20_000, 1, generator=_rng(1)) * error
        normal = torch.distributions.Normal(code + noise, error)
        expected = math.log(2) + normal.log_prob(code).mean().item()
        assert continuous_information(noise.square()).item() == pytest.approx(expected, abs=0.01)


def test_the_terms_of_infogan_by_hand() -> None:
    codes, read = CODES.draw(6, _rng()), torch.randn(6, CODES.size, generator=_rng(1))
    categorical, loss, logged = CodeLoss(CODES, 0.7, 0.2)(_fakes(codes, read))
    entropy = math.log(3) + math.log(4)
    crossed = sum(
        -(codes[:, a:b] * read[:, a:b].log_softmax(1)).sum(1).mean().item() for a, b in ((2, 5), (5, 9))
    )
    assert (categorical.name, categorical.weight) == ("information/categorical", -0.7)
    assert categorical.value.item() == pytest.approx(entropy - crossed, rel=1e-5)
    squares = (codes[:, :2] - read[:, :2]).square()
    assert (loss.weight, loss.value.item()) == (0.2, pytest.approx(squares.sum().item() / 12))
    assert (logged.name, logged.weight) == ("information/continuous", 0.0)
    assert logged.value.item() == pytest.approx(continuous_information(squares).item())
    other = CodeLoss(CODES, 0.7, 0.2)(_fakes(codes, read.roll(1, 0)))
    assert other[0].value.item() != pytest.approx(categorical.value.item(), rel=1e-3)


def test_codes_of_one_kind_alone() -> None:
    for codes, names in (
        (Codes(0, (3,)), ["information/categorical"]),
        (Codes(2, ()), ["loss/codes", "information/continuous"]),
    ):
        terms = CodeLoss(codes, 1, 1)(_fakes(codes.draw(4, _rng()), torch.zeros(4, codes.size)))
        assert [term.name for term in terms] == names


def test_the_bound_by_hand_however_large() -> None:
    joint, marginal = torch.tensor([1.0, 3.0]), torch.tensor([0.0, math.log(3.0)])
    assert donsker_varadhan(joint, marginal).item() == pytest.approx(2 - math.log(2))
    assert donsker_varadhan(joint + 500, marginal + 500).item() == pytest.approx(2 - math.log(2), abs=1e-3)
    assert donsker_varadhan(marginal, joint).item() != pytest.approx(2 - math.log(2))


def test_the_first_batchs_gradient_is_the_bounds_own() -> None:
    joint, marginal = (torch.randn(5, generator=_rng(i)).requires_grad_() for i in (0, 1))
    value, _ = UnbiasedBound()(joint, marginal)
    plain = donsker_varadhan(joint, marginal)
    assert value.item() == pytest.approx(plain.item())
    for one, other in zip(*(torch.autograd.grad(x, (joint, marginal)) for x in (value, plain)), strict=True):
        torch.testing.assert_close(one, other)


def test_later_gradients_divide_by_the_moving_average() -> None:
    bound, average = UnbiasedBound(rate=0.1), 0.0
    for step in range(4):
        joint = torch.randn(5, generator=_rng(step)).requires_grad_()
        marginal = torch.randn(6, generator=_rng(step + 9)).requires_grad_()
        before = bound.log_average.clone()
        value, ratio = bound(joint, marginal)
        assert torch.equal(bound.log_average, before)  # a pass changes nothing
        mean = marginal.exp().mean().item()
        average = mean if step == 0 else 0.9 * average + 0.1 * mean
        (gradient,) = torch.autograd.grad(value, marginal)
        torch.testing.assert_close(gradient, -marginal.detach().exp() / 6 / average)
        assert value.item() == pytest.approx(donsker_varadhan(joint, marginal).item(), rel=1e-5)
        bound.learn(ratio)
        assert bound.log_average.item() == pytest.approx(math.log(average), abs=1e-5)
    assert ratio.item() != pytest.approx(1, abs=0.05)


def test_the_average_keeps_to_logarithms() -> None:
    bound = UnbiasedBound()
    bound.log_average.fill_(300.0)
    bound.started.fill_(True)
    value, ratio = bound(torch.full((4,), 300.0), torch.full((4,), 301.0))
    bound.learn(ratio)
    assert value.item() == pytest.approx(-1)
    assert bound.log_average.item() == pytest.approx(300 + math.log(0.99 + 0.01 * math.e), abs=1e-4)


class _Pairwise(nn.Module):
    """A small T."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        t: Tensor = self.layers(torch.cat([x, y], 1)).flatten()
        return t


def _pairs(count: int, rng: torch.Generator, correlation: float) -> tuple[Tensor, Tensor]:
    x, noise = torch.randn(2, count, 2, generator=rng)
    return x, correlation * x + math.sqrt(1 - correlation**2) * noise


@pytest.mark.parametrize(("correlation", "steps"), [(0.9, 300), (0.0, 50)])
def test_the_estimate_of_correlated_normal_distributions(correlation: float, steps: int) -> None:
    torch.manual_seed(0)
    network = _Pairwise()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    found = estimate(network, optimizer, lambda n, rng: _pairs(n, rng, correlation), steps, batch=400)
    true = -math.log(1 - correlation**2)  # -d/2 log(1 - rho^2), d = 2
    assert found == pytest.approx(true, rel=0.1, abs=0.05)


def _clipped(adversarial: Tensor, more: Tensor) -> Tensor:
    """The gradient of parameters whose losses have these."""
    network = nn.Linear(2, 1)
    nn.init.ones_(network.weight)
    nn.init.ones_(network.bias)
    flat = torch.cat([parameter.flatten() for parameter in network.parameters()])
    loss, term = flat @ adversarial + 5, (flat.square() / 2) @ more
    together = adaptively_clipped(network, loss, [LossTerm("one", term, 0.25), LossTerm("other", term, 0.75)])
    assert together.item() == pytest.approx(loss.item())
    together.backward()  # type: ignore[no-untyped-call]
    return torch.cat([network.weight.grad.flatten(), network.bias.grad])  # type: ignore[union-attr, list-item]


def test_a_longer_gradient_is_clipped_to_the_adversarial_one_and_a_shorter_kept() -> None:
    u, m = torch.tensor([3.0, 0.0, 4.0]), torch.tensor([0.0, 2.0, 0.0])
    torch.testing.assert_close(_clipped(u, m), u + m)
    torch.testing.assert_close(_clipped(u, m * 50), u + torch.tensor([0.0, 5.0, 0.0]))
    torch.testing.assert_close(_clipped(m, u), m + u * 2 / 5)
    torch.testing.assert_close(_clipped(u, m * 0), u)


def _shared(part: slice) -> dict[str, Tensor]:
    """What a rank finds: the clipped gradient, the bound's gradient and average, a code's information."""
    network = nn.Linear(3, 1)
    nn.init.constant_(network.weight, 0.5)
    nn.init.zeros_(network.bias)
    x = torch.randn(8, 3, generator=_rng())[part]
    loss, more = network(x).exp().mean(), network(x.square()).square().mean() * 3
    adaptively_clipped(network, loss, [LossTerm("more", more, 1.0)]).backward()  # type: ignore[no-untyped-call]
    assert network.weight.grad is not None
    bound, marginal = UnbiasedBound(), torch.randn(2, 8, generator=_rng(1))[:, part]
    bound.learn(bound(marginal[0], marginal[0])[1])
    leaf = marginal[1].clone().requires_grad_()
    bound(leaf.detach(), leaf)[0].backward()
    assert leaf.grad is not None
    squares = torch.rand(8, 2, generator=_rng(2))[part]
    return {
        "clipped": network.weight.grad,
        "average": bound.log_average,
        "gradient": leaf.grad / (8 / len(leaf)),
        "information": continuous_information(squares),
    }


def test_two_ranks_find_what_one_does(tmp_path: Path) -> None:
    one, ranks = _shared(slice(0, 8)), on_ranks(_shared, tmp_path)
    for name in ("clipped", "average", "information"):
        for rank in ranks:
            torch.testing.assert_close(rank[name], one[name])
    torch.testing.assert_close(torch.cat([rank["gradient"] for rank in ranks]), one["gradient"])
