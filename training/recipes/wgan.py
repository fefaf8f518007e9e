"""Wasserstein GANs (Arjovsky et al. 2017, arXiv 1701.07875; Gulrajani et al. 2017, arXiv 1704.00028).

`wgan` has the settings of its authors' code at 64x64: DCGAN with 64 channels at the finest features, RMSprop 0.00005,
every weight of the critic cut to [-0.01, 0.01], five moves of the critic for one of the generator, and 100 of them in
the first 25 rounds and in every 500th. `wgan-gp` has a penalty of weight 10 in place of clipping, layer norm in the
critic, and Adam 0.0001 with betas 0 and 0.9. Both: batch 64.

Deviations: weights are cut after each step, and once before the first, which is the same as before each; the
forecast made before a run leaves out the critic's extra moves; see also `convolutional.py`.
"""

from dataclasses import replace

from training.recipes.convolutional import NARROW
from training.recipes.dcgan import DCGANRecipe


def wgan() -> DCGANRecipe:
    """The authors' 64x64: 3.6 M and 2.8 M parameters."""
    return DCGANRecipe(
        resolution=64,
        kimg=30_000,
        batch=64,
        ema_half_life=50,
        widths=(512, 256, 128, 64),
        optimizer="rmsprop",
        lr_g=0.00005,
        lr_d=0.00005,
        moves_d=5,
        moves_d_early=100,
        clip=0.01,
        objective="wgan",
    )


def wgan_cpu() -> DCGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, larger steps; ten moves of the critic where it has 100."""
    return replace(wgan(), moves_d_early=10, lr_g=0.0005, lr_d=0.0005, **{**NARROW, "ema_half_life": 20})


def wgan_gp() -> DCGANRecipe:
    """The authors' settings at 64x64, with DCGAN's networks."""
    return DCGANRecipe(
        resolution=64,
        kimg=30_000,
        batch=64,
        ema_half_life=50,
        widths=(512, 256, 128, 64),
        latent_size=128,
        norm_d="layer",
        betas=(0.0, 0.9),
        lr_g=0.0001,
        lr_d=0.0001,
        moves_d=5,
        moves_d_early=5,
        gradient_penalty=10.0,
        objective="wgan",
    )


def wgan_gp_cpu() -> DCGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, larger steps."""
    return replace(wgan_gp(), lr_g=0.0005, lr_d=0.0005, **{**NARROW, "ema_half_life": 20})
