"""What a discriminator sees: the batch's reals and a generator's images, at the resolutions that it takes."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from common.aspect import resolution_of
from models.discriminator import Discriminator
from models.generator import Generator
from models.layers.resampling import upsample
from training.system import Batch


def scales(images: Tensor, resolutions: Sequence[int]) -> list[Tensor]:
    """The images averaged down to each resolution, every one from the full size (MSG-GAN): [(N, C, H, W), ...]."""
    full = resolution_of(images)
    return [images if r == full else F.avg_pool2d(images, full // r) for r in resolutions]


def faded(images: Tensor, blend: float) -> Tensor:
    """The images with their finest detail weighted by `blend` (ProGAN section 2): shape kept."""
    return images if blend == 1 else torch.lerp(upsample(F.avg_pool2d(images, 2)), images, blend)


def grow(batch: Batch, *networks: Generator | Discriminator) -> None:
    """Grow the networks to the batch's stage."""
    for network in networks:
        network.grow(batch.stage.resolution, batch.stage.blend)


def latents(generator: Generator, batch: Batch) -> Tensor:
    """The batch's latent vectors: (N, input_size). A conditional generator gets the labels of the reals."""
    z = batch.rng.draw("latents", generator.prior)
    return generator.with_labels(z, batch.labels) if generator.class_names and batch.labels is not None else z


def fakes_for(discriminator: Discriminator, images: Sequence[Tensor]) -> list[Tensor]:
    """Those of a generator's images, coarse to fine, that the discriminator takes."""
    return [image for image in images if resolution_of(image) in discriminator.resolutions]


def reals_for(discriminator: Discriminator, batch: Batch) -> list[Tensor]:
    """The batch's reals at the resolutions that the discriminator takes, faded in as far as the fakes are."""
    return scales(faded(batch.reals, batch.stage.blend), discriminator.resolutions)
