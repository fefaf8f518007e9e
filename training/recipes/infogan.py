"""InfoGAN (Chen et al. 2016, arXiv 1606.03657); networks in `models/architectures/infogan.py`, its auxiliary losses in
`training/updaters/infogan.py`.

`infogan` has the settings of the authors' code for MNIST, at 32x32: a code of ten categories and two continuous ones,
Adam 0.0002 for the discriminator and Q, 0.001 for the generator, beta1 0.5, batch 128, 5000 steps. `infogan-faces` is
one level larger, for 64x64, with five continuous codes of less weight.

Deviations: what is sampled and shipped is a moving average of the weights.
"""

from dataclasses import dataclass

from models.architectures.infogan import InfoGANDiscriminator, InfoGANGenerator
from training.recipes.options import AugmentOptions, OptimizerOptions, PenaltyOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe
from training.system import System
from training.updaters.infogan import CodeLoss


@dataclass(frozen=True)
class InfoGANNetworks:
    """Networks of InfoGAN, and the codes that Q predicts."""

    widths: tuple[int, ...] = (128, 64)  # channels of the features, up to half the resolution
    hidden: int = 1024  # units of the dense layers
    latent_size: int = 62  # length of the latent vector, without the codes
    categorical: tuple[int, ...] = (10,)  # categories of each categorical code
    continuous: int = 2  # continuous codes
    weight_categorical: float = 1.0  # lambda of the categorical codes
    weight_continuous: float = 1.0  # lambda of the continuous codes


@dataclass(frozen=True)
class InfoGANRecipe(Recipe):
    """InfoGAN: codes that can be predicted from the image."""

    network: InfoGANNetworks = InfoGANNetworks()
    optimizer: OptimizerOptions = OptimizerOptions()
    pair: PairOptions = PairOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    penalties: PenaltyOptions = PenaltyOptions()
    augmentation: AugmentOptions = AugmentOptions()

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network, shape = self.network, (data.channels, data.aspect)
        common = (self.resolution, network.widths, network.hidden)
        codes = (network.continuous, network.categorical)
        generator = InfoGANGenerator(*common, network.latent_size, *codes, *shape)
        discriminator = InfoGANDiscriminator(generator.codes, *common, *shape)
        loss = CodeLoss(generator.codes, network.weight_categorical, network.weight_continuous)
        d, g = build_pair(
            discriminator,
            generator,
            self.optimizer,
            self.pair,
            self.discriminator,
            self.penalties,
            self.augmentation,
            auxiliary_losses_d=loss,
            auxiliary_losses_g=loss,
        )
        return System((d, g), generator)


def infogan() -> InfoGANRecipe:
    """The paper's digits, at 32x32; they train on two CPU cores."""
    return InfoGANRecipe(
        resolution=32,
        kimg=640,
        batch=128,
        flip=False,
        ema_half_life=6,
        optimizer=OptimizerOptions(lr=(0.001,), ttur_ratio=0.2),
    )


def infogan_faces() -> InfoGANRecipe:
    """64x64; images are mirrored, so no code has to say which way a face looks."""
    return InfoGANRecipe(
        resolution=64,
        kimg=2_000,
        batch=64,
        compute=ComputeOptions(channels_last=True),
        network=InfoGANNetworks(widths=(256, 128, 64), latent_size=128, continuous=5, weight_continuous=0.1),
        optimizer=OptimizerOptions(lr=(0.001,), ttur_ratio=0.2),
    )
