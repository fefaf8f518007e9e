"""MINE as a GAN's regulariser (Belghazi et al. 2018, arXiv 1801.04062, section 5.1); networks in `models/architectures/dcgan.py` and
`models/architectures/mine.py`, players in `training/updaters/mine.py`.

The generator raises the information between its pictures and a part of its latent vector, so it cannot paint the same
for all of them. The gradient of that is clipped to the length of the adversarial one.

Deviations: the paper gives no settings of networks and optimisers for pictures; these are DCGAN's. What is sampled and
shipped is a moving average of the weights.
"""

from dataclasses import dataclass, replace

from models.architectures.dcgan import DCGANDiscriminator, DCGANGenerator, paper_widths
from models.architectures.mine import Statistics
from training.objectives.mutual_information import UnbiasedBound, adaptively_clipped
from training.optim.spec import adam
from training.recipes.adversarial_pair import DuelRecipe
from training.recipes.recipe import CPU, DataFormat
from training.system import System
from training.updaters.adversarial import Generate
from training.updaters.mine import CodeBound, Measure, MoreInformation


@dataclass(frozen=True)
class MINERecipe(DuelRecipe):
    """A GAN of three players: discriminator, statistics network, generator."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ..., half the resolution; empty for 1024, halved
    latent_size: int = 100  # length of the latent vector
    code_size: int = 10  # length of its end, of which pictures are to tell
    weight: float = 1.0  # beta, of the information
    lr: float = 0.0002  # Adam's step size, all networks

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.code_size <= self.latent_size:
            raise ValueError(
                f"code_size must be from 1 to latent_size, {self.latent_size}, not {self.code_size}"
            )

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        size = (self.resolution, self.widths or paper_widths(self.resolution))
        g = DCGANGenerator(*size, self.latent_size, data.channels, "batch", data.aspect)
        d = DCGANDiscriminator(*size, data.channels, "batch", data.aspect)
        t = Statistics(*size, self.code_size, data.channels, data.aspect)
        information = CodeBound(g, t, self.code_size, UnbiasedBound())
        move = adam(self.lr)
        judging, painting = self.adversarial_pair(d, g, move, move, "non-saturating").updaters
        measuring = Measure("t", t, *move(t)[:2], information)
        assert isinstance(painting, Generate)
        auxiliary_losses = MoreInformation(information, self.weight)
        painting = replace(painting, auxiliary_losses=auxiliary_losses, combine=adaptively_clipped)
        return System((judging, measuring, painting), g)


def mine() -> MINERecipe:
    """64x64; for GPUs."""
    return MINERecipe(resolution=64, kimg=10_000, batch=128)


def mine_cpu() -> MINERecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last."""
    return MINERecipe(**CPU, kimg=300, batch=32, ema_half_life=6, widths=(256, 128, 64, 32))
