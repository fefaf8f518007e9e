"""What the two sides of a game look at: the batch's reals and a generator's pictures, as a discriminator takes them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from common.aspect import resolution_of
from models.discriminator import Discriminator
from models.generator import Generator
from models.layers.equalized import upsample
from training.system import Batch


def scales(images: Tensor, resolutions: Sequence[int]) -> list[Tensor]:
    """The images averaged down to each resolution, every one from the full size (MSG-GAN): [(N, C, H, W), ...]."""
    full = resolution_of(images)
    return [images if r == full else F.avg_pool2d(images, full // r) for r in resolutions]


def faded(images: Tensor, blend: float) -> Tensor:
    """The images with their finest detail at weight `blend` (ProGAN section 2): shape kept."""
    return images if blend == 1 else torch.lerp(upsample(F.avg_pool2d(images, 2)), images, blend)


def grow(batch: Batch, *networks: Generator | Discriminator) -> None:
    """Let the networks be as far as the batch's stage."""
    for network in networks:
        network.grow(batch.stage.resolution, batch.stage.blend)


def latents(generator: Generator, batch: Batch) -> Tensor:
    """The batch's latent vectors: (N, latent_size). A conditional generator's labels are those of the reals."""
    z = batch.rng.draw("latents", generator.prior)
    return generator.with_labels(z, batch.labels) if generator.class_names and batch.labels is not None else z


def shown(pictures: Sequence[Tensor], discriminator: Discriminator) -> list[Tensor]:
    """Those of a generator's pictures, coarse to fine, that the discriminator takes."""
    return [picture for picture in pictures if resolution_of(picture) in discriminator.resolutions]


def reals_for(discriminator: Discriminator, batch: Batch) -> list[Tensor]:
    """The batch's reals as the discriminator takes them, faded as far as the fakes are."""
    return scales(faded(batch.reals, batch.stage.blend), discriminator.resolutions)
