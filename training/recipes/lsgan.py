"""Least Squares GAN (Mao et al. 2017, arXiv 1611.04076), on DCGAN's networks.

`lsgan` has the settings of the cat experiment of A. Jolicoeur-Martineau at 64x64: learning rate 0.0001 for both, batch
64; `--objective least-squares-pearson` has the paper's other constants.

Deviations: the networks are DCGAN's, not the paper's; see also `dcgan.py`.
"""

from training.recipes.dcgan import DCGANNetworks, DCGANRecipe
from training.recipes.options import OptimizerOptions
from training.recipes.pair import PairOptions
from training.recipes.recipe import ComputeOptions


def lsgan() -> DCGANRecipe:
    """The cat experiment's 64x64; for GPUs."""
    return DCGANRecipe(
        resolution=64,
        kimg=10_000,
        batch=64,
        optimizer=OptimizerOptions(lr=(0.0001,)),
        pair=PairOptions(objective="least-squares"),
    )


def lsgan_cpu() -> DCGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, higher learning rates."""
    return DCGANRecipe(
        resolution=64,
        kimg=300,
        batch=32,
        ema_half_life=6,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=DCGANNetworks(widths=(256, 128, 64, 32)),
        optimizer=OptimizerOptions(lr=(0.001,)),
        pair=PairOptions(objective="least-squares"),
    )
