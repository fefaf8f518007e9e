"""Wasserstein GANs (Arjovsky et al. 2017, arXiv 1701.07875; Gulrajani et al. 2017, arXiv 1704.00028).

`wgan` has the settings of its authors' code at 64x64: DCGAN with 64 channels at the finest features, RMSprop 0.00005,
every weight of the critic clipped to [-0.01, 0.01], five steps of the critic for one of the generator, and 100 in each
of the first 25 iterations and of every 500th. `wgan-gp` has a penalty of weight 10 in place of clipping, layer norm in
the critic, and Adam 0.0001 with betas 0 and 0.9. Both: batch 64.

Deviations: weights are clipped after each step, and once before the first, which is the same as before each; the
forecast made before a run leaves out the critic's extra steps; see also `dcgan.py`.
"""

from training.recipes.dcgan import DCGANNetworks, DCGANRecipe
from training.recipes.options import OptimizerOptions, PenaltyOptions
from training.recipes.pair import PairOptions
from training.recipes.recipe import ComputeOptions


def wgan() -> DCGANRecipe:
    """The authors' 64x64: 3.6 M and 2.8 M parameters."""
    return DCGANRecipe(
        resolution=64,
        kimg=30_000,
        batch=64,
        ema_half_life=50,
        network=DCGANNetworks(widths=(512, 256, 128, 64)),
        optimizer=OptimizerOptions(optimizer="rmsprop", lr=(0.00005,)),
        pair=PairOptions(objective="wgan", n_critic=5, n_critic_early=100),
        penalties=PenaltyOptions(weight_clip=0.01),
    )


def wgan_cpu() -> DCGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, higher learning rates; n_critic_early 10 instead of 100."""
    return DCGANRecipe(
        resolution=64,
        kimg=300,
        batch=32,
        ema_half_life=20,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=DCGANNetworks(widths=(256, 128, 64, 32)),
        optimizer=OptimizerOptions(optimizer="rmsprop", lr=(0.0005,)),
        pair=PairOptions(objective="wgan", n_critic=5, n_critic_early=10),
        penalties=PenaltyOptions(weight_clip=0.01),
    )


def wgan_gp() -> DCGANRecipe:
    """The authors' settings at 64x64, with DCGAN's networks."""
    return DCGANRecipe(
        resolution=64,
        kimg=30_000,
        batch=64,
        ema_half_life=50,
        network=DCGANNetworks(widths=(512, 256, 128, 64), latent_size=128, norm_d="layer"),
        optimizer=OptimizerOptions(lr=(0.0001,), betas=(0.0, 0.9)),
        pair=PairOptions(objective="wgan", n_critic=5),
        penalties=PenaltyOptions(gradient_penalty=10.0),
    )


def wgan_gp_cpu() -> DCGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, higher learning rates."""
    return DCGANRecipe(
        resolution=64,
        kimg=300,
        batch=32,
        ema_half_life=20,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=DCGANNetworks(widths=(256, 128, 64, 32), latent_size=128, norm_d="layer"),
        optimizer=OptimizerOptions(lr=(0.0005,), betas=(0.0, 0.9)),
        pair=PairOptions(objective="wgan", n_critic=5),
        penalties=PenaltyOptions(gradient_penalty=10.0),
    )
