"""f-GAN (Nowozin et al. 2016, arXiv 1606.00709), on DCGAN's networks as the paper's experiment with LSUN is.

`f-gan` has Adam 0.0001 and batch 64; `--objective f-pearson` and so on choose among nine divergences, with
`f-pearson-saturating` the generator descends the bound itself, not the alternative of section 3.2.

Deviations: images are 64x64, not 96x96; see also `training/objectives/f_divergence.py` and `dcgan.py`.
"""

from training.recipes.dcgan import DCGANNetworks, DCGANRecipe
from training.recipes.options import OptimizerOptions
from training.recipes.pair import PairOptions
from training.recipes.recipe import ComputeOptions


def f_gan() -> DCGANRecipe:
    """64x64, the paper's settings; for GPUs."""
    return DCGANRecipe(
        resolution=64,
        kimg=10_000,
        batch=64,
        optimizer=OptimizerOptions(lr=(0.0001,)),
        pair=PairOptions(objective="f-hellinger"),
    )


def f_gan_cpu() -> DCGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, higher learning rates; Kullback-Leibler divergence."""
    return DCGANRecipe(
        resolution=64,
        kimg=300,
        batch=32,
        ema_half_life=6,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=DCGANNetworks(widths=(256, 128, 64, 32)),
        optimizer=OptimizerOptions(lr=(0.0005,)),
        pair=PairOptions(objective="f-kl"),
    )
