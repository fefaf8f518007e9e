"""What a recipe says of the pictures' augmentation."""

from dataclasses import dataclass

from training.data.augment import Adaptive, Augmentation, OperationName, Scheduled
from training.objectives import OBJECTIVES
from training.recipes.judged import JudgedRecipe
from training.schedules import Ramp, ramp


@dataclass(frozen=True)
class AugmentedRecipe(JudgedRecipe):
    """A recipe whose discriminator may see its pictures augmented, for small data sets."""

    augment: tuple[OperationName, ...] = ()  # what is done to reals and fakes before they are judged
    augment_p: Ramp = (1.0,)  # probability of each operation for each sample; two values: along a cosine
    ada_target: float = 0.0  # mean sign of reals' logits that ADA keeps, p from 0 on; 0 for the p above
    ada_kimg: float = 500.0  # thousands of real images in which ADA can take p from 0 to 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 <= probability <= 1 for probability in self.augment_p):
            raise ValueError(f"augment_p must be from 0 to 1, not {self.augment_p}")
        if not 0 <= self.ada_target < 1:
            raise ValueError(f"ada_target must be at least 0 and less than 1, not {self.ada_target}")
        self.check_positive("ada_kimg")
        if self.ada_target > 0 and not self.augment:
            raise ValueError("ada_target needs operations to apply: set augment, to flip or translation, say")

    def augmentation(self, objective: str) -> Augmentation:
        """The augmentation of a game that is played for an objective, one for both players.

        Raises:
            ValueError: ADA is asked for, and the objective does not say what the sign of a logit means.
        """
        noise = ramp(self.noise)
        if self.ada_target == 0:
            return Augmentation(self.augment, Scheduled(ramp(self.augment_p)), noise)
        if not OBJECTIVES[objective].absolute:
            known = " or ".join(name for name, one in OBJECTIVES.items() if one.absolute)
            raise ValueError(
                f"ada_target does not go with objective {objective}: ADA reads the sign of the reals' logits, and only "
                f"differences of logits mean anything under {objective}. Leave ada_target at 0 and set a ramp, by two "
                f"values of augment_p; or take objective {known}"
            )
        return Augmentation(self.augment, Adaptive(self.ada_target, self.ada_kimg * 1000), noise)
