"""DCGAN (Radford et al. 2016, arXiv 1511.06434), its form with SELU, and LSGAN; networks in `models/architectures/dcgan.py`.

`dcgan` has the paper's settings: Adam 0.0002 with beta1 0.5, batch 128. `selu-dcgan` is the cat experiment of
A. Jolicoeur-Martineau at 128x128: SELU without norm ("Self-Normalizing Neural Networks", arXiv 1706.02515), batch 64,
step sizes 0.00005 for the discriminator and 0.0002 for the generator; `selu-dcgan-64` is its 64x64, with 0.0005 and
0.0002. `lsgan` is Least Squares GAN (Mao et al. 2017, arXiv 1611.04076) in the same experiment: 0.0001 for both, batch
64; `--objective least-squares-pearson` has its other constants.

Deviations: LSGAN's networks are DCGAN's, not the paper's; see also `convolutional.py`.
"""

from dataclasses import dataclass, replace
from typing import Literal

from training.objectives import Objective
from training.recipes.convolutional import NARROW, ConvolutionalRecipe


@dataclass(frozen=True)
class DCGANRecipe(ConvolutionalRecipe):
    """DCGAN's networks under one of the objectives."""

    # what both sides minimise
    objective: Literal[
        "non-saturating",
        "minimax",
        "least-squares",
        "least-squares-pearson",
        "hinge",
        "wgan",
        "rp-gan",
        "ra-hinge",
        "ra-gan",
        "ra-least-squares",
    ] = "non-saturating"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.smoothed(self.objective)

    def losses(self) -> tuple[str, Objective]:
        """The objective, its labels smoothed, and its name."""
        return self.objective, self.smoothed(self.objective)


def dcgan() -> DCGANRecipe:
    """The paper's 64x64: 12.7 M and 11.0 M parameters; for GPUs."""
    return DCGANRecipe(resolution=64, kimg=10_000, batch=128)


def dcgan_cpu() -> DCGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last."""
    return replace(dcgan(), **NARROW)


def selu_dcgan() -> DCGANRecipe:
    """The cat experiment's 128x128: 12.8 M and 11.2 M parameters; for GPUs."""
    return DCGANRecipe(resolution=128, kimg=4_000, batch=64, norm_g="selu", norm_d="selu", lr_d=0.00005)


def selu_dcgan_64() -> DCGANRecipe:
    """The cat experiment's 64x64: 12.7 M and 11.0 M parameters; for GPUs."""
    return replace(selu_dcgan(), resolution=64, lr_d=0.0005)


def selu_dcgan_cpu() -> DCGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, larger steps."""
    return replace(selu_dcgan(), lr_g=0.001, lr_d=0.0002, **NARROW)


def lsgan() -> DCGANRecipe:
    """The cat experiment's 64x64; for GPUs."""
    return DCGANRecipe(
        resolution=64, kimg=10_000, batch=64, lr_g=0.0001, lr_d=0.0001, objective="least-squares"
    )


def lsgan_cpu() -> DCGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, larger steps."""
    return replace(lsgan(), lr_g=0.001, lr_d=0.001, **NARROW)
