"""What recipes of two players share: tricks that go with any networks and most objectives."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from models.discriminator import Discriminator
from models.generator import Generator
from models.layers.minibatch import BatchAware, Variety
from models.layers.normalization import BatchNorm
from training.objectives import OBJECTIVES, Objective
from training.objectives.logistic import non_saturating_d
from training.optim.spec import Mover
from training.recipes.augmented import AugmentedRecipe
from training.system import System
from training.updaters.adversarial import AuxiliaryLosses, Penalties, adversarial_pair, no_auxiliary_losses

_SMOOTHED = ("non-saturating", "minimax")  # objectives that give reals a probability


@dataclass(frozen=True)
class DuelRecipe(AugmentedRecipe):
    """A recipe of a discriminator against a generator."""

    feature_matching: float = 0.0  # weight, in the generator's loss, of its fakes' mean features
    dragan: float = 0.0  # lambda of DRAGAN's gradient penalty
    minibatch: Literal["none", Variety] = "none"  # what tells the discriminator of the batch's variety

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_not_negative("feature_matching", "dragan")

    def smoothed(self, name: str) -> Objective:
        """The objective of a name, its labels smoothed.

        Raises:
            ValueError: labels are to be smoothed, and the objective has none.
        """
        if self.real_target == 1:
            return OBJECTIVES[name]
        if name not in _SMOOTHED:
            raise ValueError(f"real_target goes with objective {' or '.join(_SMOOTHED)}, not with {name}")
        return replace(OBJECTIVES[name], d=partial(non_saturating_d, target=self.real_target))

    def adversarial_pair(
        self,
        discriminator: Discriminator,
        generator: Generator,
        move_d: Mover,  # how the discriminator is moved
        move_g: Mover,  # how the generator is
        name: str,  # of the objective
        penalties: Penalties | None = None,
        classify: float = 0.0,  # weight of the class losses (AC-GAN)
        objective: Objective | None = None,  # in place of the one of that name
        auxiliary_losses: AuxiliaryLosses = no_auxiliary_losses,  # what else both want of fakes
    ) -> System:
        """The two against one another, with the recipe's augmentation and tricks.

        Raises:
            ValueError: tricks do not go with the objective, or with the discriminator.
        """
        if self.dragan > 0 and any(isinstance(module, BatchNorm) for module in discriminator.modules()):
            raise ValueError(
                "dragan is of each sample's own gradient, which the discriminator's batch norm mixes with the others'"
            )
        if self.feature_matching > 0 and discriminator.feature_size == 0:
            raise ValueError("feature_matching needs features, which this system's discriminator has not")
        plain = self.smoothed(name)
        if self.minibatch != "none":
            discriminator = BatchAware(discriminator, self.minibatch)
        return adversarial_pair(
            discriminator,
            generator,
            *self.moved(discriminator, generator, move_d, move_g),
            objective or plain,
            replace(penalties or Penalties(), perturbed=self.dragan),
            classify,
            self.augmentation(name),
            auxiliary_losses,
            matching=self.feature_matching,
        )
