"""DRAW: A Recurrent Neural Network For Image Generation (Gregor et al. 2015, arXiv 1502.04623).

In each of T steps a decoder LSTM writes to a canvas through a grid of Gaussian filters. An encoder LSTM reads the image
and the error of the canvas through a grid of its own, and infers the step's latent vector. Names are the paper's: A x B
pixels, N x N filters, F_X and F_Y the filters along a row and a column, c_t the canvas.

Pixels are Bernoulli probabilities, those of color and grey images too (section 4.3), so that the bound of such images
does not reach 0. All color channels are read and written through the same filters.

Deviations:
- Images have the sizes of the pyramid: MNIST's 28x28 are 32x32.
- Initial states are 0, and the biases of the LSTMs' forget gates are 1 at first, as in third-party implementations.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli

from common.aspect import SQUARE, checked_aspect, size_at
from models.architectures.vae import Autoencoder, Reconstruction, gaussian
from models.generator import Generator, check_resolution

_EPSILON = 1e-8  # smallest sum of a filter's weights

State = tuple[Tensor, Tensor]  # hidden state and cell state of an LSTM, (N, hidden) each


class Filters(NamedTuple):
    """A grid of Gaussian filters over an image, for each sample."""

    y: Tensor  # F_Y, (N, n, B): a row per filter, a column per row of pixels
    x: Tensor  # F_X, (N, n, A)
    intensity: Tensor  # gamma, (N, 1, 1, 1)

    def read(self, images: Tensor) -> Tensor:
        """Read images (N, C, B, A) through the filters: (N, C, n, n) (equation 27)."""
        return self.intensity * (self.y.unsqueeze(1) @ images @ self.x.unsqueeze(1).mT)

    def write(self, patches: Tensor) -> Tensor:
        """Write patches (N, C, n, n) through the filters: (N, C, B, A) (equation 29)."""
        return (self.y.unsqueeze(1).mT @ patches @ self.x.unsqueeze(1)) / self.intensity


def filters(parameters: Tensor, size: tuple[int, int], count: int) -> Filters:
    """The grid of count x count filters with these parameters on images of a size (equations 19 to 26).

    Args:
        parameters: center x, center y, log variance, log stride and log intensity, (N, 5); 0 spreads the grid over the
            whole image.
        size: height B and width A of the image, pixels.
        count: filters along each side of the grid.
    """
    center_x, center_y, log_variance, log_stride, log_intensity = parameters.float().T.unsqueeze(2)  # (N, 1)
    stride = (max(size) - 1) / (count - 1) * log_stride.exp()
    offsets = (torch.arange(count, device=parameters.device) - (count - 1) / 2) * stride  # (N, n)

    def bank(center: Tensor, pixels: int) -> Tensor:
        mu = (pixels + 1) / 2 * (center + 1) + offsets
        a = torch.arange(1, pixels + 1, device=parameters.device)
        squares = (a - mu.unsqueeze(2)).square()  # (N, n, pixels)
        weights = torch.exp(-squares / 2 * torch.exp(-log_variance).unsqueeze(2))
        return weights / weights.sum(2, keepdim=True).clamp(min=_EPSILON)

    return Filters(bank(center_y, size[0]), bank(center_x, size[1]), log_intensity.exp().view(-1, 1, 1, 1))


def _lstm(n_in: int, hidden: int) -> nn.LSTMCell:
    """An LSTM whose forget gates are open at first."""
    cell = nn.LSTMCell(n_in, hidden)
    nn.init.zeros_(cell.bias_hh)
    nn.init.zeros_(cell.bias_ih)
    nn.init.ones_(cell.bias_ih[hidden : 2 * hidden])  # gates: in, forget, cell, out
    return cell


class DRAWGenerator(Generator):
    """The decoder: z_1, ..., z_T ~ N(0, I), concatenated in the input vector -> the last canvas."""

    architecture = "draw"

    def __init__(
        self,
        resolution: int = 32,  # shorter side of the image, pixels
        steps: int = 64,  # T
        latent_size: int = 100,  # length of each z_t
        hidden: int = 256,  # units of the LSTM
        write: int = 5,  # filters along each side of the grid
        image_channels: int = 1,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        check_resolution(resolution)
        if write < 2 or min(steps, latent_size, hidden) < 1:
            raise ValueError(
                "write must be at least 2, and steps, latent_size and hidden at least 1; "
                f"got {write}, {steps}, {latent_size} and {hidden}"
            )
        self.resolutions, self.aspect, self.image_channels = (
            (resolution,),
            checked_aspect(aspect),
            image_channels,
        )
        self.size = size_at(resolution, self.aspect)
        self.latent_size, self.hidden, self.window = latent_size, hidden, write
        self.input_size = steps * latent_size
        self.lstm = _lstm(latent_size, hidden)
        self.place = nn.Linear(hidden, 5)
        self.write = nn.Linear(hidden, image_channels * write * write)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Z ~ N(0, I): (count, input_size)."""
        return torch.randn(count, self.input_size, generator=rng)

    def initial_state(self, z: Tensor) -> tuple[State, Tensor]:
        """The initial state of the LSTM and the empty canvas for inputs z (N, ...), on their device."""
        zeros = z.new_zeros(len(z), self.hidden)
        return (zeros, zeros), z.new_zeros(len(z), self.image_channels, *self.size)

    def step(self, z: Tensor, state: State, canvas: Tensor) -> tuple[State, Tensor]:
        """Advance the LSTM by z (N, latent_size), and write to the canvas (N, C, B, A)."""
        state = self.lstm(z, state)
        patches = self.write(state[0]).view(len(z), self.image_channels, self.window, self.window)
        grid = filters(self.place(state[0]), self.size, self.window)
        return state, canvas + grid.write(patches.float())

    def canvases(self, z: Tensor) -> Iterator[Tensor]:
        """Yield the image (N, C, H, W), in [-1, 1], after each step. z: (N, input_size)."""
        state, canvas = self.initial_state(z)
        for z_t in torch.split(z, self.latent_size, dim=1):
            state, canvas = self.step(z_t, state, canvas)
            yield torch.sigmoid(canvas) * 2 - 1

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the image after the last step. Truncation scales z."""
        *_, image = self.canvases(z * truncation)
        yield image


class DRAW(Autoencoder):
    """The decoder, and an encoder that sees the decoder's state."""

    decoder: DRAWGenerator

    def __init__(
        self,
        decoder: DRAWGenerator,  # the generator
        read: int = 2,  # filters along each side of the encoder's grid
    ) -> None:
        super().__init__()
        if read < 2:
            raise ValueError(f"read must be at least 2, not {read}")
        hidden, self.window = decoder.hidden, read
        self.decoder = decoder
        self.place = nn.Linear(hidden, 5)
        self.lstm = _lstm(2 * decoder.image_channels * read * read + hidden, hidden)
        self.posterior = nn.Linear(hidden, 2 * decoder.latent_size)

    def forward(self, images: Tensor, noise: Tensor) -> Reconstruction:
        """Reconstruct images (N, C, B, A) in [-1, 1] from noise (N, input_size), step by step (equations 3 to 8)."""
        state, canvas = self.decoder.initial_state(noise)
        encoder_state, parameters = state, []
        for e in torch.split(noise, self.decoder.latent_size, dim=1):
            read = self._read((images + 1) / 2, canvas, state[0])
            encoder_state = self.lstm(torch.cat([read, state[0]], dim=1), encoder_state)
            parameters.append(self.posterior(encoder_state[0]))
            q = gaussian(parameters[-1])
            state, canvas = self.decoder.step(q.mean + q.stddev * e, state, canvas)
        means, log_deviations = zip(*(step.chunk(2, dim=1) for step in parameters), strict=True)
        posterior = gaussian(torch.cat([*means, *log_deviations], dim=1))
        return Reconstruction(posterior, Bernoulli(logits=canvas, validate_args=False))

    def _read(self, x: Tensor, canvas: Tensor, hidden: Tensor) -> Tensor:
        """Read x, in [0, 1], and the error of the canvas, where the decoder's hidden state points: (N, 2 C n n)."""
        grid = filters(self.place(hidden), self.decoder.size, self.window)
        return torch.cat([grid.read(x), grid.read(x - torch.sigmoid(canvas))], dim=1).flatten(1)
