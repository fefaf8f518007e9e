"""f-GAN (Nowozin et al. 2016, arXiv 1606.00709), on DCGAN's networks as the paper's experiment with LSUN is.

`f-gan` has Adam 0.0001 and batch 64; `--divergence` chooses among nine.

Deviations: pictures are 64x64, not 96x96; see also `training/objectives/f_divergence.py` and `convolutional.py`.
"""

from dataclasses import dataclass, replace
from functools import partial

from training.objectives import Objective
from training.objectives.f_divergence import DivergenceName, f_gan_bound_g
from training.recipes.convolutional import NARROW, ConvolutionalRecipe


@dataclass(frozen=True)
class FGANRecipe(ConvolutionalRecipe):
    """DCGAN's networks, descending an f-divergence."""

    divergence: DivergenceName = "hellinger"  # of the fakes from the reals
    saturating: bool = False  # the generator descends the bound itself, not the alternative of section 3.2

    def losses(self) -> tuple[str, Objective]:
        """The divergence's objective, and its name."""
        name = f"f-{self.divergence}"
        objective = self.smoothed(name)
        if not self.saturating:
            return name, objective
        return name, replace(objective, g=partial(f_gan_bound_g, divergence=self.divergence))


def f_gan() -> FGANRecipe:
    """64x64, the paper's settings; for GPUs."""
    return FGANRecipe(resolution=64, kimg=10_000, batch=64, lr_g=0.0001, lr_d=0.0001)


def f_gan_cpu() -> FGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, larger steps; Kullback-Leibler's divergence."""
    return replace(f_gan(), divergence="kl", lr_g=0.0005, lr_d=0.0005, **NARROW)
