"""MSG-GAN (Karnewar & Wang 2020, arXiv 1903.06048); networks in `models/architectures/msg_gan.py`.

`msg_gan` is the first version (BMSG-GAN) at the size of its authors' code: relativistic average hinge, no penalty,
Adam 0.003 with betas (0, 0.99), batch 20, moving average 0.999 per step. Every other field may be set: `--objective
wgan --gradient-penalty 10 --combine cat_lin` is the paper's MSG-ProGAN form.
"""

from dataclasses import dataclass

from models.architectures.msg_gan import Combination, MSGDiscriminator, MSGGenerator
from models.architectures.progan import paper_widths
from training.recipes.multiscale import NARROW, MultiscaleRecipe
from training.recipes.recipe import DataFormat
from training.system import System


@dataclass(frozen=True)
class MSGRecipe(MultiscaleRecipe):
    """MSG-GAN: all scales at once, no growing."""

    combine: Combination = "lin_cat"  # how an image joins the discriminator's features

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        size = (self.resolution, self.widths or paper_widths(self.resolution))
        shape = (self.attention, data.aspect)
        generator = MSGGenerator(*size, self.latent_size, data.channels, *shape)
        return self.compose(MSGDiscriminator(*size, data.channels, self.combine, *shape), generator)


def msg_gan() -> MSGRecipe:
    """The authors' code, to 1024x1024: 23.1 M and 18.8 M parameters; for GPUs."""
    return MSGRecipe(
        resolution=1024, kimg=12_000, batch=20, ema_half_life=13.86, snapshot_every=50, objective="ra-hinge"
    )


def msg_gan_cpu() -> MSGRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last; relativistic pairing with lazy R1 + R2."""
    return MSGRecipe(**NARROW, latent_size=128, lr=(0.005, 0.0005), r1=(2.0, 0.2), penalty_every=4)
