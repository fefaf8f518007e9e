"""Penalties on the gradient of a discriminator with respect to its input images.

An input is a list of images of several scales. Norms are computed in float32, whatever the networks run in.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from training.distributed.collective import global_batch_mean

Discriminator = Callable[[Sequence[Tensor]], Tensor]


def leaves(images: Sequence[Tensor]) -> list[Tensor]:
    """The images, cut from their graph, as leaves whose gradient can be asked for."""
    return [image.detach().float().requires_grad_() for image in images]


def _squared_norms(logits: Tensor, images: Sequence[Tensor]) -> list[Tensor]:
    """Per scale, each sample's squared gradient norm (N,); `images` are the leaves that gave `logits`."""
    gradients = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return [gradient.float().square().sum((1, 2, 3)) for gradient in gradients]


def zero_centered(logits: Tensor, images: Sequence[Tensor]) -> Tensor:
    """R1 or R2 (Mescheder et al. 2018, arXiv 1801.04406, eq. 9): the mean of 1/2 |grad D|^2, all scales joined.

    A pixel at side r stands for (R/r)^2 pixels at the full side R. Measuring lengths so weights the squared gradient at
    scale r by (r/R)^2, and a pooled image counts alike whether D pooled it or was given it. Unweighted, the finest
    scale would buy D the most difference for the same gradient, and D ignores the others.

    Args:
        logits: D(images), (N,).
        images: leaves, per scale (N, C, r, r), coarse to fine: reals for R1, fakes for R2.

    Returns:
        a scalar, to be multiplied by gamma.
    """
    full = images[-1].shape[-1]
    shares = [(image.shape[-1] / full) ** 2 for image in images]
    norms = _squared_norms(logits, images)
    return torch.stack([norm * share for norm, share in zip(norms, shares, strict=True)]).sum(0).mean() / 2


def one_centered(
    discriminator: Discriminator, reals: Sequence[Tensor], fakes: Sequence[Tensor], mix: Tensor
) -> Tensor:
    """WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3): (|grad D| - 1)^2 at points between reals and fakes.

    For several scales the penalties of the scales are averaged (MSG-GAN section 2.2).

    Args:
        discriminator: images of all scales -> logits (N,).
        reals: per scale (N, C, r, r).
        fakes: per scale (N, C, r, r).
        mix: each sample's position between real (0) and fake (1), (N,).

    Returns:
        a scalar, to be multiplied by lambda.
    """
    weight = mix.view(-1, 1, 1, 1)
    points = leaves([real + (fake - real) * weight for real, fake in zip(reals, fakes, strict=True)])
    norms = [(square + 1e-12).sqrt() for square in _squared_norms(discriminator(points), points)]
    return torch.stack([(norm - 1).square().mean() for norm in norms]).mean()


def perturbed(images: Tensor, uniforms: Tensor) -> Tensor:
    """Images (N, C, H, W) moved by up to half of the batch's standard deviation, by numbers of U(0, 1) of their shape.

    WGAN-GP's penalty between these and the images is DRAGAN's (Kodali et al. 2017, arXiv 1705.07215, section 2.3), with
    the perturbation of its authors' code; the paper's is Gaussian. The standard deviation is the global batch's.
    """
    mean = global_batch_mean(images).mean()
    deviation = global_batch_mean((images - mean).square()).mean().sqrt()
    return images + deviation / 2 * uniforms
