"""GRAN (Im et al. 2016, arXiv 1602.05110); networks in `models/architectures/gran.py`, the discriminator in `models/architectures/dcgan.py`.

`gran` has the settings of the authors' code for CIFAR-10: three steps, Adam with step sizes 0.00004 for the
discriminator and 0.0001 for the generator, weight decay 0.000005 on the discriminator, batch 100, 20 epochs.

Deviations: Adam's beta1 is 0, which the code's decay of it amounts to; weight decay is of all of the discriminator's
parameters, not of its dense layers alone; pictures are of a moving average of the weights.
"""

from dataclasses import dataclass

from models.architectures.dcgan import DCGANDiscriminator, paper_widths
from models.architectures.gran import GRANGenerator
from training.optim.spec import adam
from training.recipes.adversarial_pair import DuelRecipe
from training.recipes.recipe import CPU, DataFormat
from training.system import System


@dataclass(frozen=True)
class GRANRecipe(DuelRecipe):
    """GRAN: a recurrent generator."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ..., half the resolution; empty for 1024, halved
    steps: int = 3  # T, increments of the canvas
    noise_size: int = 100  # length of each step's noise
    shared_z: bool = False  # one noise for all steps
    lr_g: float = 0.0001  # Adam's step size, generator
    lr_d: float = 0.00004  # Adam's step size, discriminator
    beta1: float = 0.0  # decay of Adam's first moment
    weight_decay: float = 0.000005  # of the discriminator (L2)

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        widths = self.widths or paper_widths(self.resolution)
        generator = GRANGenerator(
            self.resolution, widths, self.steps, self.noise_size, self.shared_z, data.channels, data.aspect
        )
        discriminator = DCGANDiscriminator(self.resolution, widths, data.channels, aspect=data.aspect)
        betas = (self.beta1, 0.999)
        move_d, move_g = adam(self.lr_d, betas, self.weight_decay), adam(self.lr_g, betas)
        return self.adversarial_pair(discriminator, generator, move_d, move_g, "non-saturating")


def gran() -> GRANRecipe:
    """The authors' CIFAR-10 training, at 32x32; for GPUs."""
    return GRANRecipe(resolution=32, kimg=1_000, batch=100)


def gran_cpu() -> GRANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, larger steps."""
    return GRANRecipe(
        **CPU,
        kimg=200,
        batch=32,
        ema_half_life=6,
        widths=(128, 64, 32, 32),
        lr_g=0.0004,
        lr_d=0.0002,
        beta1=0.5,
    )
