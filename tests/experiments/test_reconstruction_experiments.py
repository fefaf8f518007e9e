"""DRAW's bound on digits, and BEGAN's balance: what they measure, their figures, and their bad input."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared import write_dataset
from torch.distributions import Bernoulli

from experiments.digits_bound import (
    BernoulliVAE,
    DigitsBound,
    binarised,
    greys,
    judge,
    painted,
    shown,
)
from experiments.digits_setting import unpacked
from experiments.equilibrium import EquilibriumOfErrors
from experiments.training_loop import train
from models.architectures.dcgan import DCGANGenerator
from models.architectures.vae import VAE, Autoencoder, Reconstruction, gaussian
from training.schedules import TrainState


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits of which every other pixel line is white, the others black, 12 and 20 of them."""
    folder = tmp_path_factory.mktemp("mnist")
    for split, count in (("train", 12), ("test", 20)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, ::2] = 255
        np.savez(folder / f"{split}.npz", images=images, labels=np.arange(count, dtype=np.uint8) % 10)
    return folder


class Knows(Autoencoder):
    """Says of all pixels that they are white with one probability, by latent numbers of N(mean, deviation)."""

    def __init__(self, white: float, mean: float, deviation: float) -> None:
        super().__init__()
        self.decoder = DCGANGenerator(8, (4,), latent_size=3, image_channels=1, norm="none")
        self.white, self.parameters_of_q = white, [mean] * 3 + [math.log(deviation)] * 3

    def forward(self, images: torch.Tensor, noise: torch.Tensor) -> Reconstruction:
        q = gaussian(torch.tensor(self.parameters_of_q).expand(len(images), -1))
        return Reconstruction(q, Bernoulli(probs=torch.full_like(images, self.white)))


def test_the_bound_is_in_nats_per_digit() -> None:
    images = torch.cat([torch.ones(150, 1, 2, 2), -torch.ones(50, 1, 2, 2)])
    reconstruction, kl = judge(Knows(0.8, mean=2, deviation=0.5), images)
    assert reconstruction == pytest.approx(-4 * (0.75 * math.log(0.8) + 0.25 * math.log(0.2)))
    assert kl == pytest.approx(3 * (0.5 * (4 + 0.25 - 1) - math.log(0.5)))


def test_the_vaes_pixels_have_the_probabilities_that_it_paints() -> None:
    torch.manual_seed(0)
    vae = VAE(8, (4,), 3, 1)
    network, images = BernoulliVAE(vae), torch.rand(2, 1, 8, 8) * 2 - 1
    found: Reconstruction = network(images, torch.randn(2, 3))
    z = vae.decoder.prior(2, _rng())
    assert isinstance(found.likelihood, Bernoulli)
    noise = (z - found.posterior.mean) / found.posterior.stddev
    again: Reconstruction = network(images, noise)
    expected = (vae.decoder(z)[-1] + 1) / 2
    assert torch.allclose(again.likelihood.mean, expected, atol=1e-5)
    again.likelihood.log_prob(torch.ones_like(images)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_digits_are_drawn_anew_by_their_greys() -> None:
    means = torch.tensor([0.0, 1.0, 0.25]).view(1, 1, 1, 3).expand(4, 1, 1, 3)
    found = shown(means, 4000, _rng())
    assert found[..., 0].unique().tolist() == [-1]
    assert found[..., 1].unique().tolist() == [1]
    assert found[..., 2].unique().tolist() == [-1, 1]
    assert found[..., 2].mean().item() == pytest.approx(-0.5, abs=0.05)
    assert torch.equal(binarised(means, _rng(1)), binarised(means, _rng(1)))
    assert not torch.equal(shown(means, 99, _rng(1)), shown(means, 99, _rng(2)))


TINY = {"kimg": 1, "batch": 500, "points": 2, "glimpses": 3, "glimpse_size": 2, "window": 2, "hidden": 4}


def test_the_digits_experiment_from_data_to_figure(data: Path, tmp_path: Path) -> None:
    experiment = DigitsBound(data, **TINY)
    assert greys(data, "test").shape == (20, 1, 32, 32)
    results = {name: row.measure() for name, row in experiment.rows().items()}
    assert results["mean-digit"]["reconstruction"] == pytest.approx(0, abs=0.01)  # all digits are the same
    for name in ("vae", "draw"):
        found = results[name]
        assert [images for images, _ in found["curve"]] == [500, 1000]
        whole = found["reconstruction"] + found["kl"]
        assert found["curve"][-1][1] == pytest.approx(whole, rel=0.2)
        assert whole < 1.2 * 1024 * math.log(2)
        assert f"| {name} | {whole:.1f} | {found['kl']:.1f} |" in experiment.table(results)
    assert unpacked(results["draw"]["pictures"]).size == (3 * 32, 8 * 32)
    assert unpacked(results["vae"]["pictures"]).size == (32, 8 * 32)
    experiment.figure(json.loads(json.dumps(results)), tmp_path / "bound.png")
    assert (tmp_path / "bound.png").read_bytes().startswith(b"\x89PNG")


def test_the_canvases_are_of_one_digit_line_by_line() -> None:
    torch.manual_seed(0)
    network = DigitsBound(**TINY).draw().updaters[0].network
    picture = torch.tensor(np.asarray(unpacked(painted(network)))).view(8, 32, 3, 32)
    last = network.decoder(network.decoder.prior(8, _rng()))[-1]
    assert (picture[:, :, -1] - (last[:, 0] * 127.5 + 127.5)).abs().max() <= 0.51


def test_learning_lowers_the_bound(data: Path) -> None:
    found = DigitsBound(data, kimg=1, batch=25, points=5, lr=0.003).rows()["vae"].measure()
    bounds = [bound for _, bound in found["curve"]]
    assert bounds[-1] < 0.5 * bounds[0]


def test_began_is_watched_from_point_to_point(tmp_path: Path) -> None:
    pictures = torch.randint(256, (6, 3, 1, 1), generator=_rng(), dtype=torch.uint8).expand(-1, -1, 16, 16)
    folder = write_dataset(tmp_path / "data", pictures)
    experiment = EquilibriumOfErrors(
        folder, gammas=(0.4, 0.9), resolution=16, kimg=1, batch=100, width=4, points=5
    )
    results = {name: row.measure() for name, row in experiment.rows().items()}
    assert list(results) == ["gamma-0.4", "gamma-0.9"]
    for found in results.values():
        assert len(found["convergence"]) == len(found["balance"]) == len(found["k"]) == 5
        assert found["convergence"][-1] < found["convergence"][0]
    assert results["gamma-0.9"]["k"][-1] > results["gamma-0.4"]["k"][-1]  # fakes may be worse
    first = results["gamma-0.4"]
    row = (0.4, first["convergence"][0], first["convergence"][-1], first["balance"][-1], first["k"][-1])
    assert "| {} | {:.3f} | {:.3f} | {:.3f} | {:.3f} |".format(*row) in experiment.table(results)
    experiment.figure(results, tmp_path / "began.png")
    assert (tmp_path / "began.png").read_bytes().startswith(b"\x89PNG")


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="gammas must be above 0 and at most 1"):
        EquilibriumOfErrors(Path("x"), gammas=(0.5, 1.5))
    with pytest.raises(ValueError, match="kimg and batch give 3 steps, fewer than points, 25"):
        EquilibriumOfErrors(Path("x"), kimg=1, batch=300)


def test_an_iteration_is_watched_after_it(data: Path) -> None:
    seen: list[tuple[int, int, set[str]]] = []

    def watch(train_state: TrainState, said: dict[str, torch.Tensor]) -> None:
        seen.append((train_state.iteration, train_state.images, set(said)))

    system = DigitsBound(data, **TINY).vae()
    train(system, lambda count, rng: shown(greys(data, "train"), count, rng), 32, 2, 5, 0, watch=watch)
    names = {"loss/bound", "nats/reconstruction", "nats/kl", "gradient/vae"}
    assert seen == [(1, 5, names), (2, 10, names)]
