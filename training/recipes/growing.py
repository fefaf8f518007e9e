"""What recipes share whose pictures may grow in training (Karras et al. 2018, arXiv 1710.10196, section 2)."""

import math
from dataclasses import dataclass

from models.discriminator import Discriminator
from models.generator import Generator, check_resolution
from training.growth import Growth, progressive
from training.recipes.multiscale import MultiscaleRecipe
from training.system import System, TrainState


@dataclass(frozen=True)
class GrowingRecipe(MultiscaleRecipe):
    """A recipe of one size, or of each from a small one on: faded in, then held."""

    grow_from: int = 0  # side that training begins at, pixels; 0 for the full one
    hold: float = 0.0  # how long a size is held before the next fades in, thousands of images
    fade: float = 0.0  # how long the next takes to fade in, thousands of images; 0 to switch at once
    batches: tuple[int, ...] = ()  # real images per step at each size; `batch` from where they end
    r1_power: float = 0.0  # of the current side's share of the full one, by which gamma is multiplied

    def __post_init__(self) -> None:
        super().__post_init__()
        check_resolution(self.resolution)
        sides = [4 << level for level in range(self.resolution.bit_length() - 2)]
        if self.grow_from and self.grow_from not in sides:
            known = ", ".join(map(str, sides))
            raise ValueError(f"grow_from must be one of {known}, or 0 for no growth, not {self.grow_from}")
        if self.grow_from and self.hold <= 0:
            raise ValueError(f"hold must be positive where pictures grow, not {self.hold}")
        if not self.grow_from and (self.hold or self.fade):
            raise ValueError("hold and fade need grow_from, the side to begin at; without it they must be 0")
        self.check_positive("batches")
        self.check_not_negative("fade", "r1_power")

    def growth(self) -> Growth:
        """From `grow_from` to the resolution."""
        sides = [self.grow_from or self.resolution]
        while sides[-1] < self.resolution:
            sides.append(2 * sides[-1])
        batches = [*self.batches, *[self.batch] * len(sides)][: len(sides)]
        return progressive(sides, batches, self.hold * 1000, self.fade * 1000)

    def gamma(self, train_state: TrainState) -> float:
        """Weight of R1 + R2 at the current size."""
        share = self.growth().at(train_state.images).resolution / self.resolution
        return super().gamma(train_state) * math.pow(share, self.r1_power)

    def compose(
        self,
        discriminator: Discriminator,
        generator: Generator,
        classify: float = 0.0,  # weight of the class losses (AC-GAN)
    ) -> System:
        """The two against one another, the generator grown as far as it is at the beginning."""
        start = self.growth().at(0)
        generator.grow(start.resolution, start.blend)
        return super().compose(discriminator, generator, classify)
