"""MSG-GAN (Karnewar & Wang 2020, arXiv 1903.06048); networks in `models/msg_gan.py`.

`msg_gan` is the first version (BMSG-GAN) at the size of its authors' code: relativistic average hinge, no penalty,
Adam 0.003 with betas (0, 0.99), batch 20, moving average 0.999 per step. Every other field may be set: `--objective
wgan --gradient-penalty 10 --combine cat_lin` is the paper's MSG-ProGAN form.
"""

from dataclasses import dataclass
from typing import Literal

from models.msg_gan import Combination, MSGDiscriminator, MSGGenerator
from models.progan import paper_widths
from training.game import Game
from training.recipes.recipe import CPU, DataFormat
from training.recipes.scheduled import ScheduledRecipe


@dataclass(frozen=True)
class MSGRecipe(ScheduledRecipe):
    """MSG-GAN: all scales at once, no growing."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ...; empty for the paper's
    latent_size: int = 512  # length of the latent vector
    combine: Combination = "lin_cat"  # how an image joins the discriminator's features
    attention: tuple[int, ...] = ()  # sides at which both networks have self-attention (SAGAN)
    objective: Literal["ra-hinge", "ra-gan", "ra-least-squares", "rp-gan", "wgan", "non-saturating"] = (
        "ra-hinge"
    )
    gradient_penalty: float = 0.0  # lambda of WGAN-GP, over all scales; 0 for none
    drift: float = 0.0  # weight of the squared logits of reals

    def build(self, data: DataFormat) -> Game:
        """Build the game."""
        size = (self.resolution, self.widths or paper_widths(self.resolution))
        shape = (self.attention, data.frame)
        generator = MSGGenerator(*size, self.latent_size, data.channels, *shape)
        discriminator = MSGDiscriminator(*size, data.channels, self.combine, *shape)
        steps_d, steps_g = self.steps(discriminator), self.steps(generator)
        penalties = self.penalties(self.gradient_penalty, self.drift)
        return self.duel(discriminator, generator, steps_d, steps_g, self.objective, penalties)


def msg_gan() -> MSGRecipe:
    """The authors' code, to 1024x1024: 23.1 M and 18.8 M parameters; for GPUs."""
    return MSGRecipe(resolution=1024, kimg=12_000, batch=20, ema_half_life=13.86, snapshot_every=50)


def msg_gan_cpu() -> MSGRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last; relativistic pairing with lazy R1 + R2."""
    return MSGRecipe(
        **CPU,
        kimg=150,
        batch=16,
        ema_half_life=5,
        widths=(128, 128, 128, 64, 32),
        latent_size=128,
        objective="rp-gan",
        lr=0.005,
        lr_end=0.0005,
        r1=2.0,
        r1_end=0.2,
        penalty_every=4,
    )
