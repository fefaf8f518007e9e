"""InfoGAN (Chen et al. 2016, arXiv 1606.03657); networks in `models/architectures/infogan.py`, its terms in
`training/objectives/information.py`.

`infogan` has the settings of the authors' code for MNIST, at 32x32: a code of ten categories and two continuous ones,
Adam 0.0002 for the discriminator and Q, 0.001 for the generator, beta1 0.5, batch 128, 5000 steps. `infogan-faces` is
one level larger, for 64x64, with five continuous codes of less weight.

Deviations: what is sampled and shipped is a moving average of the weights.
"""

from dataclasses import dataclass

from models.architectures.infogan import InfoGANDiscriminator, InfoGANGenerator
from training.objectives.information import CodeInformation
from training.optim.spec import adam
from training.recipes.adversarial_pair import DuelRecipe
from training.recipes.recipe import DataFormat
from training.system import System


@dataclass(frozen=True)
class InfoGANRecipe(DuelRecipe):
    """InfoGAN: codes that can be read off the picture."""

    widths: tuple[int, ...] = (128, 64)  # channels of the features, up to half the resolution
    hidden: int = 1024  # units of the dense layers
    noise_size: int = 62  # length of the latent vector without the codes
    categorical: tuple[int, ...] = (10,)  # categories of each categorical code
    continuous: int = 2  # continuous codes
    weight_categorical: float = 1.0  # lambda of the categorical codes
    weight_continuous: float = 1.0  # lambda of the continuous codes
    lr_g: float = 0.001  # Adam's step size, generator
    lr_d: float = 0.0002  # Adam's step size, discriminator and Q

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        common, shape = (self.resolution, self.widths, self.hidden), (data.channels, data.aspect)
        generator = InfoGANGenerator(*common, self.noise_size, self.continuous, self.categorical, *shape)
        discriminator = InfoGANDiscriminator(generator.codes, *common, *shape)
        move_d, move_g = adam(self.lr_d), adam(self.lr_g)
        auxiliary_losses = CodeInformation(generator.codes, self.weight_categorical, self.weight_continuous)
        return self.adversarial_pair(
            discriminator, generator, move_d, move_g, "non-saturating", auxiliary_losses=auxiliary_losses
        )


def infogan() -> InfoGANRecipe:
    """The paper's digits, at 32x32; they train on two CPU cores."""
    return InfoGANRecipe(resolution=32, kimg=640, batch=128, flip=False, ema_half_life=6)


def infogan_faces() -> InfoGANRecipe:
    """64x64; mirrored pictures stay, so no code has to say which way a face looks."""
    return InfoGANRecipe(
        resolution=64,
        kimg=2_000,
        batch=64,
        channels_last=True,
        widths=(256, 128, 64),
        noise_size=128,
        continuous=5,
        weight_continuous=0.1,
    )
