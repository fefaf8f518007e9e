"""GRAN: Generating images with recurrent adversarial networks (Im et al. 2016, arXiv 1602.05110).

In each of T steps a decoder f generates an increment of the canvas from z_t and from an encoder g's features of the
previous increment: C = sigmoid(dC_1 + ... + dC_T). Both networks are shared by all steps. T = 1 would be DCGAN. Sizes
are those of the authors' code for CIFAR-10; the discriminator is DCGAN's.

Deviations:
- Every step has a z_t of its own, as in the paper; `shared_z` uses one for all steps, as the code does.
- Batch norm follows every layer but the last convolution; the code omits it after f's transposed convolutions. Scales
  and shifts are shared by all steps; statistics for evaluation are measured for each step.
- Weights are initialized as DCGAN's.
- Images are in [-1, 1].
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked_aspect
from models.architectures.dcgan import init_weights, paper_widths
from models.architectures.dcgan_blocks import coarsest_size, strided_conv, transposed_conv
from models.generator import Generator
from models.layers.normalization import BatchNorm

_EPSILON = 1e-5  # of batch norm


class StepNorm(BatchNorm):
    """Batch norm shared by all steps, with statistics for each step: (N, C, H, W) or (N, C) -> the same."""

    def __init__(
        self,
        channels: int,
        steps: int,
    ) -> None:
        super().__init__(channels)
        self.mean, self.variance = torch.zeros(steps, channels), torch.ones(steps, channels)

    def forward(self, x: Tensor, step: int) -> Tensor:  # type: ignore[override] # a step, not a class
        """Normalize x, in a step counted from 0."""
        maps = x if x.dim() == 4 else x[..., None, None]
        if self.training:
            standard = self.standardize(maps)
        else:
            standard = F.batch_norm(maps, self.mean[step], self.variance[step], eps=_EPSILON)
        shift, scale = (table.to(x.dtype).view(1, -1, 1, 1) for table in (self.shift, self.scale))
        return torch.addcmul(shift, standard, scale).view_as(x)


class _Layer(nn.Module):
    """A layer, its norm, its activation."""

    def __init__(self, layer: nn.Module, channels: int, steps: int, activation: nn.Module) -> None:
        super().__init__()
        self.layer, self.norm, self.activation = layer, StepNorm(channels, steps), activation

    def forward(self, x: Tensor, step: int) -> Tensor:
        activated: Tensor = self.activation(self.norm(self.layer(x), step))
        return activated


class GRANGenerator(Generator):
    """Generator of GRAN: z_1, ..., z_T ~ N(0, I), concatenated in the input vector -> the last canvas."""

    architecture = "gran"

    def __init__(
        self,
        resolution: int = 32,  # shorter side of the image, pixels
        widths: Sequence[int] | None = None,  # channels of the features, coarse to fine; None for DCGAN's
        steps: int = 3,  # T
        latent_size: int = 100,  # length of each z_t, and of h_z and h_c
        shared_z: bool = False,  # one z for all steps
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        if steps < 2:
            raise ValueError(f"steps must be at least 2, not {steps}; for one step, train dcgan")
        self.widths = tuple(widths) if widths is not None else paper_widths(resolution)
        self.resolutions, self.aspect, self.image_channels = (
            (resolution,),
            checked_aspect(aspect),
            image_channels,
        )
        self.coarsest_size = coarsest_size(resolution, self.widths, self.aspect)
        self.steps, self.latent_size, self.shared_z = steps, latent_size, shared_z
        self.input_size = latent_size if shared_z else steps * latent_size
        first, last, area = self.widths[0], self.widths[-1], math.prod(self.coarsest_size)

        def dense(n_in: int, n_out: int, activation: nn.Module) -> _Layer:
            return _Layer(nn.Linear(n_in, n_out, bias=False), n_out, steps, activation)

        pairs = list(pairwise(self.widths))
        self.noise = dense(latent_size, latent_size, nn.Tanh())
        self.root = dense(2 * latent_size, first * area, nn.ReLU())
        self.paint = nn.ModuleList(  # f
            _Layer(transposed_conv(a, b, 5, bias=False), b, steps, nn.ReLU()) for a, b in pairs
        )
        self.to_canvas = transposed_conv(last, image_channels, 5)
        self.watch = nn.ModuleList(  # g
            [_Layer(strided_conv(image_channels, last, 5, bias=False), last, steps, nn.ReLU())]
        )
        self.watch += [
            _Layer(strided_conv(b, a, 5, bias=False), a, steps, nn.ReLU()) for a, b in reversed(pairs)
        ]
        self.memory = dense(first * area, latent_size, nn.Tanh())
        init_weights(self)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Z ~ N(0, I): (count, input_size)."""
        return torch.randn(count, self.input_size, generator=rng)

    def canvases(self, z: Tensor) -> Iterator[Tensor]:
        """Yield the canvas (N, C, H, W), in [-1, 1], after each step. z: (N, input_size)."""
        noise = [z] * self.steps if self.shared_z else torch.split(z, self.latent_size, dim=1)
        increment = self._decode(noise[0], torch.zeros_like(noise[0]), 0)
        yield torch.sigmoid(canvas := increment) * 2 - 1
        for step, z_t in enumerate(noise[1:], 1):
            increment = self._decode(z_t, self._encode(increment, step), step)
            yield torch.sigmoid(canvas := canvas + increment) * 2 - 1

    def _decode(self, z: Tensor, h_c: Tensor, step: int) -> Tensor:
        """f: the increment (N, C, H, W) from z_t and h_c, (N, latent_size) each."""
        h = torch.cat([self.noise(z, step), h_c], dim=1)
        x = self.root(h, step).view(len(z), -1, *self.coarsest_size)
        for layer in self.paint:
            x = layer(x, step)
        increment: Tensor = self.to_canvas(x)
        return increment

    def _encode(self, increment: Tensor, step: int) -> Tensor:
        """g: h_c (N, latent_size) from the previous step's increment."""
        x = increment
        for layer in self.watch:
            x = layer(x, step)
        h_c: Tensor = self.memory(x.flatten(1), step)
        return h_c

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the canvas after the last step. Truncation scales z."""
        *_, image = self.canvases(z * truncation)
        yield image

    @torch.no_grad()
    def refresh_statistics(self) -> None:
        """Measure batch norm's statistics for each step, over 256 fixed draws from the prior, in evaluation mode."""

        def measure(norm: nn.Module, inputs: tuple[Tensor, int]) -> None:
            assert isinstance(norm, StepNorm)
            x, step = inputs
            dims = (0, 2, 3) if x.dim() == 4 else (0,)
            norm.variance[step], norm.mean[step] = torch.var_mean(x.float(), dims, correction=0)

        norms = [module for module in self.modules() if isinstance(module, StepNorm)]
        hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
        z = self.prior(256, torch.Generator().manual_seed(0)).to(self.to_canvas.weight.device)
        self(z)
        for hook in hooks:
            hook.remove()
