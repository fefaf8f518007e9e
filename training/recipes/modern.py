"""A modern baseline, after R3GAN (Huang et al. 2024, arXiv 2501.05441); networks in `models/modern.py`.

Relativistic pairing with R1 and R2 on every batch; step size and gamma fall along a cosine. `modern` has the paper's
settings for FFHQ-256.

Deviations: those of the networks; Adam's second beta is 0.99 from the beginning, not 0.9 at first; augmentation is
DiffAugment's (see `training/augment.py`), not ADA's. Where the pictures grow, gamma follows the cube of their side, as
the paper's does from one data set to another (2 at 64, 150 at 256).
"""

from dataclasses import dataclass

from models.generator import check_resolution
from models.modern import ModernDiscriminator, ModernGenerator, default_widths
from training.game import Clock, Game
from training.growth import Growth, progressive, steady
from training.recipes.recipe import CPU, DataFormat
from training.recipes.scheduled import ScheduledRecipe


@dataclass(frozen=True)
class ModernRecipe(ScheduledRecipe):
    """A residual GAN without normalisation, of full size from the start or grown."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ...; empty for 512, halved from 32x32 on down to 16
    blocks: int = 2  # residual blocks per resolution
    latent_size: int = 64  # length of the latent vector, a label's entries not included
    attention: tuple[int, ...] = ()  # sides at which both networks have self-attention (SAGAN)
    conditional: bool = True  # learn the labels of data that have them
    grow_from: int = 0  # side that training begins at, pixels; 0 for the full one
    hold: float = 0.0  # how long a size is held before the next fades in, thousands of images
    fade: float = 0.0  # how long the next takes to fade in, thousands of images

    def __post_init__(self) -> None:
        super().__post_init__()
        sides = self._sides()
        if self.grow_from and self.grow_from not in sides:
            known = ", ".join(map(str, sides))
            raise ValueError(f"grow_from must be one of {known}, or 0 for no growth, not {self.grow_from}")
        if self.grow_from and self.hold <= 0:
            raise ValueError(f"hold must be positive where pictures grow, not {self.hold}")
        if not self.grow_from and (self.hold or self.fade):
            raise ValueError("hold and fade need grow_from, the side to begin at")
        self.check_not_negative("fade")

    def _sides(self) -> list[int]:
        """Sides of the pictures, from 4 up."""
        check_resolution(self.resolution)
        return [4 << level for level in range(self.resolution.bit_length() - 2)]

    def growth(self) -> Growth:
        """One size, or each from `grow_from` on."""
        if self.grow_from == 0:
            return steady(self.resolution, self.batch)
        sides = [side for side in self._sides() if side >= self.grow_from]
        return progressive(sides, [self.batch] * len(sides), self.hold * 1000, self.fade * 1000)

    def gamma(self, clock: Clock) -> float:
        """Weight of R1 + R2: falls along a cosine, and is that of the current size."""
        share = self.growth().at(clock.images).resolution / self.resolution
        return super().gamma(clock) * share**3

    def build(self, data: DataFormat) -> Game:
        """Build the game."""
        names = data.class_names if self.conditional else ()
        widths = self.widths or default_widths(self.resolution)
        start = self.growth().at(0)
        size, where = (self.resolution, widths, self.blocks), (start.resolution, data.frame)
        generator = ModernGenerator(
            *size, self.latent_size + len(names), data.channels, self.attention, names, *where
        )
        generator.grow(start.resolution, start.blend)
        discriminator = ModernDiscriminator(*size, data.channels, self.attention, len(names), *where)
        steps_d, steps_g = self.steps(discriminator), self.steps(generator)
        return self.duel(discriminator, generator, steps_d, steps_g, "rp-gan", self.penalties())


def modern() -> ModernRecipe:
    """256x256, for GPUs: 32 M parameters each."""
    return ModernRecipe(
        resolution=256,
        kimg=10_000,
        batch=128,
        precision="bf16",
        channels_last=True,
        ema_half_life=200,
        augment=("translation", "color", "cutout"),
        augment_p=0.0,
        augment_p_end=0.3,
        lr=0.0002,
        lr_end=0.00005,
        r1=150.0,
        r1_end=15.0,
    )


def modern_cpu() -> ModernRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last."""
    return ModernRecipe(
        **CPU,
        kimg=300,
        batch=16,
        ema_half_life=5,
        widths=(128, 128, 96, 48, 24),
        blocks=1,
        lr=0.0003,
        lr_end=0.00003,
        r1=2.0,
        r1_end=0.3,
        penalty_stride=2,
    )
