"""Networks for points of the auto-encoders with latent variables: VAE and DRAW (see `models/architectures/vae.py` and
`models/architectures/draw.py`), those of several runs side by side.

A point is Gaussian around what the decoder makes, both its numbers of one deviation that is learned, as in
`models/architectures/vae.py`. DRAW's canvas is the mean itself, so what it lacks is the point less the canvas, without
the sigmoid of Bernoulli pixels; it reads and writes whole points, without attention (section 3.1 of the paper).
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from experiments.points import Linears, PointGenerator, RunwiseGenerator, mlp
from models.architectures.vae import Autoencoder, Reconstruction, gaussian
from models.generator import Generator

State = tuple[Tensor, Tensor]  # of LSTMs: what they say and what they keep, (runs, N, hidden) each


class PointAutoencoder(Autoencoder):
    """An auto-encoder of points. Subclasses set `decoder` and implement `infer`."""

    decoder: RunwiseGenerator

    def __init__(
        self,
        runs: int,  # networks side by side
    ) -> None:
        super().__init__()
        self.log_deviation = nn.Parameter(torch.full((runs, 1, 1), -2.0))  # of a number in [0, 1]

    @abstractmethod
    def infer(self, points: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Points (runs, N, 2) and noise (runs, N, L) -> the posterior's parameters (runs, N, 2L), points again."""

    def likelihood(self, points: Tensor) -> Normal:
        """p(x | z) of each number in [0, 1] where the decoder makes points (runs, N, 2): (runs x N, 2, 1, 1)."""
        deviation = self.log_deviation.exp().expand_as(points)
        means, deviations = (x.reshape(-1, 2, 1, 1) for x in ((points + 1) / 2, deviation))
        return Normal(means, deviations, validate_args=False)

    def forward(self, images: Tensor, noise: Tensor) -> Reconstruction:
        """Reconstruct points (N, 2, 1, 1) by noise (N, input_size)."""
        runs = len(self.log_deviation)
        points = images.view(runs, -1, 2)
        parameters, again = self.infer(points, noise.view(runs, -1, self.decoder.input_size))
        return Reconstruction(gaussian(parameters.flatten(0, 1)), self.likelihood(again))


class Observed(Generator):
    """What an auto-encoder takes points for: the decoder's, with the noise of the likelihood.

    The latent vector is the decoder's, then two numbers of N(0, 1).
    """

    def __init__(
        self,
        autoencoder: PointAutoencoder,
    ) -> None:
        super().__init__()
        self.resolutions, self.image_channels = (1,), 2
        self.autoencoder, self.input_size = autoencoder, autoencoder.decoder.input_size + 2

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I): (count, input_size)."""
        return torch.randn(count, self.input_size, generator=rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the points (N, 2, 1, 1). Truncation makes the whole latent vector smaller."""
        latents, noise = torch.split(z * truncation, [self.input_size - 2, 2], 1)
        (means,) = self.autoencoder.decoder(latents)
        likelihood = self.autoencoder.likelihood(means.view(len(self.autoencoder.log_deviation), -1, 2))
        yield (likelihood.mean + likelihood.stddev * noise[:, :, None, None]) * 2 - 1

    def settings(self) -> dict[str, Any]:
        """The decoder's."""
        return self.autoencoder.decoder.settings()


class PointVAE(PointAutoencoder):
    """VAE: an encoder and a decoder of two hidden layers each."""

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of all hidden layers
        latent_size: int,  # length of z
    ) -> None:
        super().__init__(runs)
        self.encoder = mlp(runs, 2, hidden, 2 * latent_size)
        self.decoder = PointGenerator(runs, hidden, latent_size)

    def infer(self, points: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Points (runs, N, 2) and noise (runs, N, L) -> the posterior's parameters (runs, N, 2L), points again."""
        parameters = self.encoder(points)
        mean, log_deviation = parameters.chunk(2, 2)
        return parameters, self.decoder.points(mean + log_deviation.exp() * noise)


class LSTMs(nn.Module):
    """An LSTM for each of several runs."""

    def __init__(
        self,
        runs: int,
        n_in: int,  # input features
        hidden: int,  # units
    ) -> None:
        super().__init__()
        self.gates = Linears(runs, n_in + hidden, 4 * hidden)

    def forward(self, x: Tensor, state: State) -> State:
        """The state after the input (runs, N, n_in)."""
        says, keeps = state
        taken, kept, said, new = self.gates(torch.cat([x, says], 2)).chunk(4, 2)
        keeps = torch.sigmoid(kept) * keeps + torch.sigmoid(taken) * torch.tanh(new)
        return torch.sigmoid(said) * torch.tanh(keeps), keeps


class DrawingPointGenerator(RunwiseGenerator):
    """DRAW's decoder: z_1, ..., z_T ~ N(0, I), one after the other in the latent vector -> the last canvas."""

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of the LSTMs
        latent_size: int,  # latent numbers of each step
        steps: int = 8,  # T
    ) -> None:
        super().__init__(runs, steps * latent_size)
        self.hidden, self.latent_size, self.steps = hidden, latent_size, steps
        self.lstm, self.write = LSTMs(runs, latent_size, hidden), Linears(runs, hidden, 2)

    def begin(self, like: Tensor) -> tuple[State, Tensor]:
        """The first state and the empty canvas for (runs, N, ...)."""
        nothing = like.new_zeros(*like.shape[:2], self.hidden)
        return (nothing, nothing), like.new_zeros(*like.shape[:2], 2)

    def step(self, z: Tensor, state: State, canvas: Tensor) -> tuple[State, Tensor]:
        """Add to the canvas (runs, N, 2) what z (runs, N, latent_size) says."""
        state = self.lstm(z, state)
        return state, canvas + self.write(state[0])

    def canvases(self, z: Tensor) -> Iterator[Tensor]:
        """Yield the canvas (runs, N, 2) after each step. z: (runs, N, latent_size)."""
        state, canvas = self.begin(z)
        for z_t in torch.split(z, self.latent_size, 2):
            state, canvas = self.step(z_t, state, canvas)
            yield canvas

    def points(self, z: Tensor) -> Tensor:
        """Latent vectors (runs, N, latent_size) -> points (runs, N, 2)."""
        *_, canvas = self.canvases(z)
        return canvas


class PointDRAW(PointAutoencoder):
    """DRAW: the decoder and an encoder that watches it."""

    decoder: DrawingPointGenerator

    def __init__(
        self,
        decoder: DrawingPointGenerator,
    ) -> None:
        super().__init__(decoder.runs)
        self.decoder = decoder
        self.lstm = LSTMs(decoder.runs, 4 + decoder.hidden, decoder.hidden)
        self.posterior = Linears(decoder.runs, decoder.hidden, 2 * decoder.latent_size)

    def infer(self, points: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Points (runs, N, 2) and noise (runs, N, L) -> the posterior's parameters (runs, N, 2L), points again."""
        state, canvas = self.decoder.begin(noise)
        watching, means, log_deviations = state, [], []
        for e in torch.split(noise, self.decoder.latent_size, 2):
            watching = self.lstm(torch.cat([points, points - canvas, state[0]], 2), watching)
            mean, log_deviation = cast(Tensor, self.posterior(watching[0])).chunk(2, 2)
            state, canvas = self.decoder.step(mean + log_deviation.exp() * e, state, canvas)
            means.append(mean)
            log_deviations.append(log_deviation)
        return torch.cat([*means, *log_deviations], 2), canvas
