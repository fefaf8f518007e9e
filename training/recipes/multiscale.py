"""What recipes share whose networks have a level for each size from 4x4 up: of ProGAN, MSG-GAN and the modern one."""

from dataclasses import dataclass
from typing import Any, Literal

from models.discriminator import Discriminator
from models.generator import Generator
from training.optim.spec import adam
from training.recipes.adversarial_pair import DuelRecipe
from training.recipes.recipe import CPU
from training.schedules import Ramp, ramp
from training.system import System, TrainState
from training.updaters.adversarial import Penalties


@dataclass(frozen=True)
class MultiscaleRecipe(DuelRecipe):
    """A recipe of two networks under Adam with betas 0 and 0.99, one step size for both, and gradient penalties."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ...; empty for those of the system's full size
    latent_size: int = 512  # length of the latent vector, a label's entries not included
    attention: tuple[int, ...] = ()  # sides at which both networks have self-attention (SAGAN)
    # what both sides minimise
    objective: Literal[
        "rp-gan", "ra-hinge", "ra-gan", "ra-least-squares", "wgan", "hinge", "non-saturating"
    ] = "rp-gan"
    lr: Ramp = (0.003,)  # Adam's step size, both networks; two values: along a cosine from first to second
    gradient_penalty: float = 0.0  # lambda of WGAN-GP, over all scales; 0 for none
    drift: float = 0.0  # weight of the squared logits of reals
    r1: Ramp = (0.0,)  # gamma of R1 + R2, 0 for none; two values: along a cosine from first to second
    penalty_every: int = 1  # rounds between two computations of R1 + R2
    penalty_stride: int = 1  # of so many samples R1 + R2 look at one; 2 for half of each batch

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_not_negative("gradient_penalty", "drift", "r1")
        self.check_positive("penalty_every", "penalty_stride")

    def gamma(self, train_state: TrainState) -> float:
        """Weight of R1 + R2."""
        return ramp(self.r1)(train_state)

    def compose(
        self,
        discriminator: Discriminator,
        generator: Generator,
        classify: float = 0.0,  # weight of the class losses (AC-GAN)
    ) -> System:
        """The two against one another."""
        penalties = Penalties(
            *(self.gamma, self.gamma, self.penalty_every),
            *(self.gradient_penalty, self.drift, self.penalty_stride),
        )
        move = adam(ramp(self.lr), betas=(0.0, 0.99))
        return self.adversarial_pair(
            discriminator, generator, move, move, self.objective, penalties, classify
        )


# Of a recipe for two CPU cores.
NARROW: dict[str, Any] = {
    **CPU,
    "kimg": 150,
    "batch": 16,
    "ema_half_life": 5,
    "widths": (128, 128, 128, 64, 32),
}
