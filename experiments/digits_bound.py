"""DRAW's bound on the likelihood of binarised MNIST (Gregor et al. 2015, arXiv 1502.04623, table 1), beside a VAE's.

Both systems are the recipes', on digits padded to 32x32 with black. A pixel is white with the probability that its grey
is; it is drawn anew whenever a training digit is shown, and once for the test digits.

Deviations: the paper's training digits were drawn once; its DRAW has 64 glimpses of 100 latent numbers and read and
write windows of 2x2 and 5x5. The VAE's pixels are Bernoulli here, not Gaussian as the recipe's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli

from experiments.digits_setting import RESOLUTION, digits, sheet, unpacked
from experiments.experiment import Experiment, Result, Row, markdown
from experiments.mnist import Split
from experiments.training_loop import train
from models.architectures.draw import DRAWGenerator
from models.architectures.vae import VAE, Autoencoder, Reconstruction, gaussian
from training.optim.spec import adam
from training.recipes.draw import DRAWNetworks, DRAWRecipe
from training.recipes.options import AdamOptions
from training.recipes.recipe import DataFormat
from training.schedules import TrainState
from training.system import System
from training.updaters.autoencoder import AutoencoderUpdater, kl_to_prior, negative_log_likelihood

matplotlib.use("agg")
from matplotlib import pyplot as plt

PAPER = 80.97  # nats, of DRAW with 64 glimpses
JUDGED_AT_ONCE = 100  # digits
ON_THE_WAY = 10  # the curve is of every so many-th test digit
DRAWN = 8  # digits in the figure, each after every glimpse
SURE = 1 - 1e-6  # the most that a tanh is taken to be: a probability of 5e-7 remains


@dataclass(frozen=True)
class DigitsBound(Experiment):
    """Variational bounds of DRAW and of a VAE on binarised MNIST, in nats per digit, as they learn."""

    data: Path = Path("data/mnist")  # MNIST's published files
    kimg: int = 200  # thousands of digits shown to each
    batch: int = 50  # digits per step
    points: int = 20  # of a curve
    glimpses: int = 10  # DRAW's steps
    glimpse_size: int = 10  # latent numbers of each
    window: int = 5  # filters along each side of its grids
    hidden: int = 256  # units of its LSTMs
    lr: float = 0.001  # Adam's step size, both

    def rows(self) -> Mapping[str, Row]:
        """The mean digit, the VAE, DRAW."""
        steps = self.kimg * 1000 // self.batch
        return {
            "mean-digit": Row(1, self.mean_digit),
            "vae": Row(steps, partial(self.learn, self.vae)),
            "draw": Row(steps * (1 + self.glimpses // 2), partial(self.learn, self.draw)),
        }

    def mean_digit(self) -> Result:
        """What a digit costs when its pixels are known by their means alone."""
        means = greys(self.data, "train").mean(0)
        likelihood = Bernoulli(means.clamp(1 - SURE, SURE), validate_args=False)
        costs = negative_log_likelihood(likelihood, self.tests())
        return {"reconstruction": costs.mean().item(), "kl": 0.0, "curve": [], "pictures": None}

    def vae(self) -> System:
        """The recipe's VAE at 32x32, its pixels Bernoulli."""
        network = BernoulliVAE(VAE(RESOLUTION, (128, 64, 32), 128, 1))
        spec = adam(network, self.lr, betas=(0.9, 0.999))
        return System((AutoencoderUpdater("vae", network, spec),), network.decoder)

    def draw(self) -> System:
        """The recipe's DRAW."""
        recipe = DRAWRecipe(
            resolution=RESOLUTION,
            kimg=self.kimg,
            batch=self.batch,
            network=DRAWNetworks(
                steps=self.glimpses,
                latent_size=self.glimpse_size,
                hidden=self.hidden,
                read=self.window,
                write=self.window,
            ),
            optimizer=AdamOptions(lr=(self.lr,), betas=(0.5, 0.999), clip_grad_norm=5.0),
        )
        return recipe.build(DataFormat(channels=1))

    def learn(self, build: Callable[[], System]) -> Result:
        """Train a system; its bound on some of the test digits on the way, and on all at the end."""
        torch.manual_seed(0)
        system, tests = build(), self.tests()
        (updater,) = system.updaters
        assert isinstance(updater, AutoencoderUpdater)
        iterations = self.kimg * 1000 // self.batch
        curve: list[tuple[int, float]] = []

        def watch(train_state: TrainState, _: Mapping[str, Tensor]) -> None:
            if train_state.iteration * self.points % iterations < self.points:
                curve.append((train_state.images, sum(judge(updater.network, tests[::ON_THE_WAY]))))

        reals = partial(shown, greys(self.data, "train"))
        train(system, reals, RESOLUTION, iterations, self.batch, 0, watch=watch)
        reconstruction, kl = judge(updater.network, tests)
        return {
            "reconstruction": reconstruction,
            "kl": kl,
            "curve": curve,
            "pictures": painted(updater.network),
        }

    def tests(self) -> Tensor:
        """The test digits, binarised: (10000, 1, 32, 32), -1 or 1."""
        return binarised(greys(self.data, "test"), torch.Generator().manual_seed(0))

    def table(self, results: Mapping[str, Result]) -> str:
        """A line for each row."""
        header = ("system", "bound, nats", "of it the distance to the prior")
        lines = [
            (name, f"{found['reconstruction'] + found['kl']:.1f}", f"{found['kl']:.1f}")
            for name, found in results.items()
        ]
        return markdown(header, lines)

    def figure(self, results: Mapping[str, Result], path: Path) -> None:
        """The bounds over the digits shown, and digits of each system."""
        drawn = [(name, unpacked(found["pictures"])) for name, found in results.items() if found["pictures"]]
        ratios = [1.4, *(picture.width / picture.height for _, picture in drawn)]
        whole, (panel, *others) = plt.subplots(
            1, 1 + len(drawn), figsize=(9, 3.2), width_ratios=ratios, layout="constrained"
        )
        for name, found in results.items():
            if found["curve"]:
                images, bounds = zip(*found["curve"], strict=True)
                panel.plot([count / 1000 for count in images], bounds, ".-", label=name)
            else:
                panel.axhline(found["reconstruction"], color="grey", linestyle=":", label=name)
        panel.axhline(PAPER, color="black", linestyle="--", linewidth=0.8, label="the paper's DRAW")
        panel.set(xlabel="thousands of digits shown", ylabel="bound, nats")
        panel.legend(fontsize=8)
        for (name, picture), other in zip(drawn, others, strict=True):
            other.imshow(picture, cmap="gray")
            other.set_title(name)
            other.set_axis_off()
        whole.savefig(path, dpi=80, metadata={"Software": None})
        plt.close(whole)


class BernoulliVAE(Autoencoder):
    """A VAE whose pixels are Bernoulli: its decoder's tanh is read as twice a probability, less 1."""

    def __init__(
        self,
        vae: VAE,  # whose deviation of pixels is left out
    ) -> None:
        super().__init__()
        self.encoder: nn.Module = vae.encoder
        self.decoder = vae.decoder

    def forward(self, images: Tensor, noise: Tensor) -> Reconstruction:
        """AutoencoderUpdater images (N, C, H, W) in [-1, 1] by noise (N, latent_size)."""
        posterior = gaussian(self.encoder(images))
        *_, picture = self.decoder.stream(posterior.mean + posterior.stddev * noise)
        logits = 2 * torch.atanh(picture.float().clamp(-SURE, SURE))  # tanh(a) = 2 sigmoid(2 a) - 1
        return Reconstruction(posterior, Bernoulli(logits=logits, validate_args=False))


def greys(folder: Path, split: Split) -> Tensor:
    """A split's digits, black around them: (N, 1, 32, 32) in [0, 1]."""
    return digits(folder, split).images.float() / 255


def binarised(means: Tensor, rng: torch.Generator) -> Tensor:
    """Pixels -1 or 1, by chance, of means in [0, 1]. Shape kept."""
    return torch.bernoulli(means, generator=rng) * 2 - 1


def shown(means: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Digits drawn evenly from all, binarised: (count, 1, 32, 32)."""
    return binarised(means[torch.randint(len(means), (count,), generator=rng)], rng)


@torch.no_grad()
def painted(network: Autoencoder) -> str:
    """A line for each of some digits of the prior, those of DRAW after every glimpse: see `sheet`."""
    decoder = network.decoder
    z = decoder.prior(DRAWN, torch.Generator().manual_seed(0))
    stages = [*decoder.canvases(z)] if isinstance(decoder, DRAWGenerator) else decoder(z)[-1:]
    return sheet(torch.stack(stages, dim=1).flatten(0, 1), len(stages))


@torch.no_grad()
def judge(network: Autoencoder, images: Tensor) -> tuple[float, float]:
    """The two parts of the bound in nats per digit, reconstruction and distance, by one sample of each posterior."""
    rng, parts = torch.Generator().manual_seed(0), []
    for batch in torch.split(images, JUDGED_AT_ONCE):
        found: Reconstruction = network(batch, network.decoder.prior(len(batch), rng))
        parts.append(
            torch.stack(
                [negative_log_likelihood(found.likelihood, batch), kl_to_prior(found.posterior)], dim=1
            )
        )
    reconstruction, distance = torch.cat(parts).mean(0).tolist()
    return reconstruction, distance
