"""DRAW: A Recurrent Neural Network For Image Generation (Gregor et al. 2015, arXiv 1502.04623).

In each of T steps a decoder LSTM adds to a canvas what it writes through a grid of Gaussian filters; an encoder LSTM
reads the picture and what the canvas lacks through a grid of its own, and tells the step's latent numbers. Names are
the paper's: A x B pixels, N x N filters, F_X and F_Y the filters along a row and a column, c_t the canvas.

Pixels are Bernoulli probabilities, also those of colours and greys (section 4.3), so that the bound of such pictures
does not reach 0. Every colour is read and written through the same filters.

Deviations:
- Pictures have the sizes of the pyramid: MNIST's 28x28 are 32x32.
- First states are 0, and the LSTMs' forget gates begin with a bias of 1, as in code that others wrote.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli

from common.aspect import SQUARE, checked, size_at
from models.architectures.vae import Autoencoder, Reconstruction, gaussian
from models.generator import Generator, check_resolution

_EPSILON = 1e-8  # of the filters' sums

State = tuple[Tensor, Tensor]  # of an LSTM: what it says and what it keeps, (N, hidden) each


class Filters(NamedTuple):
    """A grid of Gaussian filters over a picture, for each sample."""

    y: Tensor  # F_Y, (N, n, B): a row per filter, a column per row of pixels
    x: Tensor  # F_X, (N, n, A)
    intensity: Tensor  # gamma, (N, 1, 1, 1)

    def read(self, images: Tensor) -> Tensor:
        """What the filters see of images (N, C, B, A): (N, C, n, n) (equation 27)."""
        return self.intensity * (self.y.unsqueeze(1) @ images @ self.x.unsqueeze(1).mT)

    def write(self, patches: Tensor) -> Tensor:
        """Patches (N, C, n, n) painted through the filters: (N, C, B, A) (equation 29)."""
        return (self.y.unsqueeze(1).mT @ patches @ self.x.unsqueeze(1)) / self.intensity


def filters(parameters: Tensor, size: tuple[int, int], count: int) -> Filters:
    """The grid of count x count filters that parameters place on pictures of a size (equations 19 to 26).

    Args:
        parameters: centre x, centre y, log variance, log stride and log intensity, (N, 5); 0 puts the grid on the
            whole picture.
        size: height B and width A of the picture, pixels.
        count: filters along each side of the grid.
    """
    center_x, center_y, log_variance, log_stride, log_intensity = parameters.float().T.unsqueeze(2)  # (N, 1)
    stride = (max(size) - 1) / (count - 1) * log_stride.exp()
    places = (torch.arange(count, device=parameters.device) - (count - 1) / 2) * stride  # (N, n)

    def bank(center: Tensor, pixels: int) -> Tensor:
        mu = (pixels + 1) / 2 * (center + 1) + places
        a = torch.arange(1, pixels + 1, device=parameters.device)
        squares = (a - mu.unsqueeze(2)).square()  # (N, n, pixels)
        weights = torch.exp(-squares / 2 * torch.exp(-log_variance).unsqueeze(2))
        return weights / weights.sum(2, keepdim=True).clamp(min=_EPSILON)

    return Filters(bank(center_y, size[0]), bank(center_x, size[1]), log_intensity.exp().view(-1, 1, 1, 1))


def _lstm(n_in: int, hidden: int) -> nn.LSTMCell:
    """An LSTM that begins by keeping what it knows."""
    cell = nn.LSTMCell(n_in, hidden)
    nn.init.zeros_(cell.bias_hh)
    nn.init.zeros_(cell.bias_ih)
    nn.init.ones_(cell.bias_ih[hidden : 2 * hidden])  # gates in, forget, cell, out
    return cell


class DRAWGenerator(Generator):
    """The decoder: z_1, ..., z_T ~ N(0, I), one after the other in the latent vector -> the last canvas."""

    def __init__(
        self,
        resolution: int = 32,  # shorter side of the picture, pixels
        steps: int = 64,  # T
        step_size: int = 100,  # latent numbers of each step
        hidden: int = 256,  # units of the LSTM
        write: int = 5,  # filters along each side of the grid
        image_channels: int = 1,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        check_resolution(resolution)
        if write < 2 or min(steps, step_size, hidden) < 1:
            raise ValueError(
                "write must be at least 2, and steps, step_size and hidden at least 1; "
                f"got {write}, {steps}, {step_size} and {hidden}"
            )
        self.resolutions, self.aspect, self.image_channels = (resolution,), checked(aspect), image_channels
        self.size = size_at(resolution, self.aspect)
        self.steps, self.step_size, self.hidden, self.window = steps, step_size, hidden, write
        self.latent_size = steps * step_size
        self.lstm = _lstm(step_size, hidden)
        self.place = nn.Linear(hidden, 5)
        self.write = nn.Linear(hidden, image_channels * write * write)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I): (count, latent_size)."""
        return torch.randn(count, self.latent_size, generator=rng)

    def begin(self, like: Tensor) -> tuple[State, Tensor]:
        """The first state of the LSTM and the empty canvas for N samples, (N, ...), on their device."""
        nothing = like.new_zeros(len(like), self.hidden)
        return (nothing, nothing), like.new_zeros(len(like), self.image_channels, *self.size)

    def step(self, z: Tensor, state: State, canvas: Tensor) -> tuple[State, Tensor]:
        """Add to the canvas (N, C, B, A) what z (N, step_size) says."""
        state = self.lstm(z, state)
        patches = self.write(state[0]).view(len(z), self.image_channels, self.window, self.window)
        where = filters(self.place(state[0]), self.size, self.window)
        return state, canvas + where.write(patches.float())

    def canvases(self, z: Tensor) -> Iterator[Tensor]:
        """Yield the picture (N, C, H, W), in [-1, 1], after each step. z: (N, latent_size)."""
        state, canvas = self.begin(z)
        for z_t in torch.split(z, self.step_size, dim=1):
            state, canvas = self.step(z_t, state, canvas)
            yield torch.sigmoid(canvas) * 2 - 1

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the picture after the last step. Truncation makes the noise smaller."""
        *_, picture = self.canvases(z * truncation)
        yield picture

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "resolution": self.resolutions[-1],
            "steps": self.steps,
            "step_size": self.step_size,
            "hidden": self.hidden,
            "write": self.window,
            "image_channels": self.image_channels,
            "aspect": list(self.aspect),
        }


class DRAW(Autoencoder):
    """The decoder and an encoder that watches it."""

    decoder: DRAWGenerator

    def __init__(
        self,
        decoder: DRAWGenerator,  # the half that paints
        read: int = 2,  # filters along each side of the encoder's grid
    ) -> None:
        super().__init__()
        if read < 2:
            raise ValueError(f"read must be at least 2, not {read}")
        hidden, self.window = decoder.hidden, read
        self.decoder = decoder
        self.place = nn.Linear(hidden, 5)
        self.lstm = _lstm(2 * decoder.image_channels * read * read + hidden, hidden)
        self.posterior = nn.Linear(hidden, 2 * decoder.step_size)

    def forward(self, images: Tensor, noise: Tensor) -> Reconstruction:
        """Reconstruct images (N, C, B, A) in [-1, 1] by noise (N, latent_size), step by step (equations 3 to 8)."""
        state, canvas = self.decoder.begin(noise)
        watching, parameters = state, []
        for e in torch.split(noise, self.decoder.step_size, dim=1):
            seen = self._read((images + 1) / 2, canvas, state[0])
            watching = self.lstm(torch.cat([seen, state[0]], dim=1), watching)
            parameters.append(self.posterior(watching[0]))
            q = gaussian(parameters[-1])
            state, canvas = self.decoder.step(q.mean + q.stddev * e, state, canvas)
        means, log_deviations = zip(*(step.chunk(2, dim=1) for step in parameters), strict=True)
        posterior = gaussian(torch.cat([*means, *log_deviations], dim=1))
        return Reconstruction(posterior, Bernoulli(logits=canvas, validate_args=False))

    def _read(self, x: Tensor, canvas: Tensor, says: Tensor) -> Tensor:
        """What the encoder sees of x, in [0, 1], and of what the canvas lacks: (N, 2 C n n)."""
        where = filters(self.place(says), self.decoder.size, self.window)
        return torch.cat([where.read(x), where.read(x - torch.sigmoid(canvas))], dim=1).flatten(1)
