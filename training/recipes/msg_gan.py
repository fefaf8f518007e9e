"""MSG-GAN (Karnewar & Wang 2020, arXiv 1903.06048); networks in `models/architectures/msg_gan.py`.

`msg-gan` is the first version (BMSG-GAN) at the size of its authors' code: relativistic average hinge, no penalty,
Adam 0.003 with betas (0, 0.99), batch 20, moving average 0.999 per step. `--objective wgan --gradient-penalty 10
--combine cat_lin` is the paper's MSG-ProGAN form.
"""

from dataclasses import dataclass

from models.architectures.msg_gan import Combination, MSGDiscriminator, MSGGenerator
from models.architectures.progan import paper_widths
from training.monitoring.options import MonitoringOptions
from training.recipes.options import AugmentOptions, OptimizerOptions, PenaltyOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe
from training.system import System


@dataclass(frozen=True)
class MSGNetworks:
    """Networks of MSG-GAN."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ...; empty for the paper's
    latent_size: int = 512  # length of the latent vector
    attention: tuple[int, ...] = ()  # sides at which both networks have self-attention (SAGAN)
    combine: Combination = "lin_cat"  # how an image joins the discriminator's features


@dataclass(frozen=True)
class MSGRecipe(Recipe):
    """MSG-GAN: all scales at once, no growing."""

    network: MSGNetworks = MSGNetworks()
    optimizer: OptimizerOptions = OptimizerOptions()
    pair: PairOptions = PairOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    penalties: PenaltyOptions = PenaltyOptions()
    augmentation: AugmentOptions = AugmentOptions()

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network = self.network
        widths = network.widths or paper_widths(self.resolution)
        generator = MSGGenerator(
            self.resolution, widths, network.latent_size, data.channels, network.attention, data.aspect
        )
        discriminator = MSGDiscriminator(
            self.resolution, widths, data.channels, network.combine, network.attention, data.aspect
        )
        d, g = build_pair(
            discriminator,
            generator,
            self.optimizer,
            self.pair,
            self.discriminator,
            self.penalties,
            self.augmentation,
        )
        return System((d, g), generator)


def msg_gan() -> MSGRecipe:
    """The authors' code, up to 1024x1024: 23.1 M and 18.8 M parameters; for GPUs."""
    return MSGRecipe(
        resolution=1024,
        kimg=12_000,
        batch=20,
        ema_half_life=13.86,
        monitoring=MonitoringOptions(snapshot_every=50),
        optimizer=OptimizerOptions(lr=(0.003,), betas=(0.0, 0.99)),
        pair=PairOptions(objective="ra-hinge"),
    )


def msg_gan_cpu() -> MSGRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last; relativistic pairing with lazy R1 and R2."""
    return MSGRecipe(
        resolution=64,
        kimg=150,
        batch=16,
        ema_half_life=5,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=MSGNetworks(widths=(128, 128, 128, 64, 32), latent_size=128),
        optimizer=OptimizerOptions(lr=(0.005, 0.0005), betas=(0.0, 0.99)),
        pair=PairOptions(objective="rp-gan"),
        penalties=PenaltyOptions(r1=(2.0, 0.2), r2=(2.0, 0.2), penalty_every=4),
    )
