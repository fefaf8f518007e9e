"""What recipes share that have discriminators of any kind: tricks of how they are moved, and what they are shown."""

from dataclasses import dataclass

from torch import nn

from models.layers.normalization import normalize_spectrally
from training.optim.historical_averaging import average_history
from training.optim.spec import Mover, OptimizerSpec
from training.optim.spectral_norm import iterate_after_steps
from training.recipes.recipe import Recipe
from training.schedules import Ramp, scaled


@dataclass(frozen=True)
class JudgedRecipe(Recipe):
    """A recipe of a generator that is judged, or of several."""

    real_target: float = 1.0  # probability that the discriminator is to give reals; below 1 smooths labels
    noise: Ramp = (0.0,)  # deviation of Gaussian noise on all that is judged; two values: along a cosine
    historical: float = 0.0  # weight of the distance from the weights' mean over all steps, both players
    spectral: bool = False  # spectral norm of the discriminator's convolutions and dense layers
    time_scale: float = 1.0  # factor of the discriminator's step size (two time scales)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.real_target <= 1:
            raise ValueError(f"real_target must be above 0 and at most 1, not {self.real_target}")
        self.check_not_negative("noise", "historical")
        self.check_positive("time_scale")

    def moved(
        self, discriminator: nn.Module, generator: nn.Module, move_d: Mover, move_g: Mover
    ) -> tuple[OptimizerSpec, OptimizerSpec]:
        """How the two are moved, the discriminator's layers under spectral norm if they are to be."""
        if self.spectral:
            normalize_spectrally(discriminator)
        of_d, of_g = move_d(discriminator), move_g(generator)
        for network, steps in ((discriminator, of_d), (generator, of_g)):
            iterate_after_steps(steps.optimizer, network)
            if self.historical > 0:
                average_history(steps.optimizer, self.historical)
        return of_d._replace(learning_rate=scaled(of_d.learning_rate, self.time_scale)), of_g
