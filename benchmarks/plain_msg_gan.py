"""MSG-GAN's networks and step as one would first write them, to measure the recipe against.

The same functions as `models/architectures/msg_gan.py` (`lin_cat`, no attention) and `training/` in float32, by plain
means: a picture is upsampled before it is convolved, the discriminator's step builds the generator's graph too, the
generator's step collects the discriminator's gradients too, and R1 + R2 are computed in every step.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.system import Batch


class _Conv(nn.Module):
    """Convolution with equalised learning rate, padded to keep the size unless `padding` is given."""

    def __init__(self, c_in: int, c_out: int, kernel: int, padding: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_out, c_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.scale = (2 / (c_in * kernel**2)) ** 0.5
        self.padding = kernel // 2 if padding is None else padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class _Dense(nn.Module):
    """Dense layer with equalised learning rate."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.scale = (2 / n_in) ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


def _activated(x: Tensor) -> Tensor:
    """Leaky ReLU, then pixel norm."""
    x = F.leaky_relu(x, 0.2)
    return x / torch.sqrt((x**2).mean(1, keepdim=True) + 1e-8)


class PlainGenerator(nn.Module):
    """(N, latent_size) -> pictures 4x4 ... resolution. Its parameters are in the order of `MSGGenerator`'s."""

    def __init__(
        self,
        widths: Sequence[int],  # channels at 4x4, 8x8, ...
        latent_size: int,  # length of the latent vector
    ) -> None:
        super().__init__()
        self.dense = _Dense(latent_size, widths[0] * 16)
        self.conv = _Conv(widths[0], widths[0], 3)
        self.convs = nn.ModuleList(  # two per level
            conv for a, b in pairwise(widths) for conv in (_Conv(a, b, 3), _Conv(b, b, 3))
        )
        self.to_rgb = nn.ModuleList(_Conv(width, 3, 1) for width in widths)

    def forward(self, z: Tensor) -> list[Tensor]:
        """The pictures, coarse to fine."""
        x = F.leaky_relu(self.dense(z).view(len(z), -1, 4, 4), 0.2)
        x = _activated(self.conv(x))
        pictures = [self.to_rgb[0](x)]
        for level in range(1, len(self.to_rgb)):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = _activated(self.convs[2 * level - 2](x))
            x = _activated(self.convs[2 * level - 1](x))
            pictures.append(self.to_rgb[level](x))
        return pictures


class PlainDiscriminator(nn.Module):
    """Pictures 4x4 ... resolution -> logits (N,). Its parameters are in the order of `MSGDiscriminator`'s."""

    def __init__(
        self,
        widths: Sequence[int],  # channels at 4x4, 8x8, ...
    ) -> None:
        super().__init__()
        self.combines = nn.ModuleList(_Conv(3, width // 2, 1) for width in widths[:-1])
        self.from_rgb = _Conv(3, widths[-1], 1)
        self.convs = nn.ModuleList(  # two per level, coarse to fine
            conv for a, b in pairwise(widths) for conv in (_Conv(b, b, 3), _Conv(b, a // 2, 3))
        )
        self.conv = _Conv(widths[0] + 1, widths[0], 3)
        self.conv_last = _Conv(widths[0], widths[0], 4, padding=0)
        self.logits = _Conv(widths[0], 1, 1)

    def forward(self, images: Sequence[Tensor]) -> Tensor:
        """Judge one picture per sample, given at every resolution."""
        x = self.from_rgb(images[-1])
        for level in reversed(range(len(self.combines))):
            x = F.leaky_relu(self.convs[2 * level](x), 0.2)
            x = F.leaky_relu(self.convs[2 * level + 1](x), 0.2)
            x = torch.cat([self.combines[level](images[level]), F.avg_pool2d(x, 2)], dim=1)
        deviation = torch.sqrt(x.var(0, correction=0) + 1e-8).mean()
        x = torch.cat([x, deviation.expand(len(x), 1, 4, 4)], dim=1)
        x = F.leaky_relu(self.conv(x), 0.2)
        x = F.leaky_relu(self.conv_last(x), 0.2)
        return torch.flatten(self.logits(x))


def take_weights(network: nn.Module, source: nn.Module) -> None:
    """Copy the source's weights, which are of the same shapes in the same order."""
    with torch.no_grad():
        for own, other in zip(network.parameters(), source.parameters(), strict=True):
            own.copy_(other)


def _squared_gradient(logits: Tensor, images: Sequence[Tensor]) -> Tensor:
    """Half the mean squared gradient by the images, those of coarse pixels by the pixels' area."""
    gradients = torch.autograd.grad(logits.sum(), images, create_graph=True)
    total = torch.zeros((), device=logits.device)
    for gradient in gradients:
        weight = (gradient.shape[-1] / gradients[-1].shape[-1]) ** 2
        total = total + weight * (gradient**2).sum((1, 2, 3)).mean()
    return total / 2


class PlainTraining:
    """Relativistic pairing with R1 + R2, Adam for both."""

    def __init__(
        self,
        generator: nn.Module,  # latent vectors -> images
        discriminator: Callable[[Sequence[Tensor]], Tensor],  # images -> logits
        parameters: Sequence[nn.Parameter],  # of the discriminator
        lr: float,  # Adam's learning rate
        gamma: float,  # of R1 and of R2
    ) -> None:
        self.generator, self.discriminator, self.gamma = generator, discriminator, gamma
        self.generator_adam = torch.optim.Adam(generator.parameters(), lr=lr, betas=(0.0, 0.99))
        self.discriminator_adam = torch.optim.Adam(parameters, lr=lr, betas=(0.0, 0.99))

    def step(self, batch: Batch, z: Tensor) -> tuple[Tensor, Tensor]:
        """One step of each network. Returns their losses, the discriminator's without R1 + R2."""
        full = batch.stage.resolution
        sides = [4 << level for level in range(full.bit_length() - 2)]
        reals = [F.avg_pool2d(batch.reals, full // side) for side in sides]
        fakes = [fake.detach().requires_grad_() for fake in self.generator(z)]
        points = [picture.clone().requires_grad_() for picture in reals]
        self.discriminator_adam.zero_grad()
        real, fake = self.discriminator(points), self.discriminator(fakes)
        loss_d = F.softplus(fake - real).mean()
        penalty = _squared_gradient(real, points) + _squared_gradient(fake, fakes)
        (loss_d + self.gamma * penalty).backward()  # type: ignore[no-untyped-call]
        self.discriminator_adam.step()

        self.generator_adam.zero_grad()
        real, fake = self.discriminator(reals), self.discriminator(self.generator(z))
        loss_g = F.softplus(real - fake).mean()
        loss_g.backward()  # type: ignore[no-untyped-call]
        self.generator_adam.step()
        return loss_d.detach(), loss_g.detach()
