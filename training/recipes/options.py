"""Option classes that recipes are composed of. On the command line their fields are options of one flat list."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from models.generator import check_resolution
from training.data.augment import OPERATIONS, Adaptive, Augmentation, Scheduled
from training.growth import Growth, progressive, steady
from training.objectives import OBJECTIVES
from training.optim.gradient_clipping import limit_gradients
from training.optim.spec import OptimizerSpec, adam
from training.recipes.recipe import check_not_negative, check_positive
from training.schedules import (
    Ramp,
    Schedule,
    TrainState,
    constant,
    cosine,
    decaying,
    halved,
    ramp,
    rising,
    scaled,
)

if TYPE_CHECKING:
    OperationName = str
else:
    OperationName = Literal[tuple(OPERATIONS)]  # the registry's

_START = TrainState(0, 1, 0)
EPOCH = 50_000  # images, of MNIST or CIFAR-10 without the validation set


@dataclass(frozen=True)
class OptimizerOptions:
    """How the networks are optimized."""

    optimizer: Literal["adam", "rmsprop"] = "adam"  # of all networks
    lr: Ramp = (0.0002,)  # the generator's learning rate; two values: from first to last along a cosine
    lr_halve_every: float = 0.0  # instead, halve it every so many thousand images, down to the last value
    ttur_ratio: float = 1.0  # the discriminator's learning rate over the generator's (two time scales)
    betas: tuple[float, float] = (0.5, 0.999)  # Adam's decay rates
    weight_decay_d: float = 0.0  # L2 penalty of the discriminator's weights (Adam)
    historical_averaging: float = 0.0  # weight of the distance to the mean of all previous weights

    def __post_init__(self) -> None:
        check_positive(self, "ttur_ratio")
        check_not_negative(self, "lr", "lr_halve_every", "weight_decay_d", "historical_averaging")

    def discriminator_spec(self, network: nn.Module) -> OptimizerSpec:
        """How a discriminator is optimized."""
        return self._spec(network, self.ttur_ratio, self.weight_decay_d)

    def generator_spec(self, network: nn.Module) -> OptimizerSpec:
        """How a generator is optimized."""
        return self._spec(network, 1.0, 0.0)

    def _spec(self, network: nn.Module, factor: float, weight_decay: float) -> OptimizerSpec:
        lr = scaled(self._lr(), factor)
        if self.optimizer == "rmsprop":
            return OptimizerSpec(torch.optim.RMSprop(network.parameters(), lr(_START)), lr)
        return adam(network, lr, self.betas, weight_decay)

    def _lr(self) -> Schedule:
        if self.lr_halve_every == 0:
            return ramp(self.lr)
        end = self.lr[1] if len(self.lr) == 2 else 0.0
        return halved(self.lr[0], end, self.lr_halve_every * 1000)


@dataclass(frozen=True)
class SGDOptions:
    """How networks are optimized by SGD with momentum and a decaying learning rate, as before Adam."""

    optimizer: Literal["sgd", "adam"] = "sgd"  # of all networks
    lr: Ramp = (0.02,)  # learning rate at first; two values: along a cosine, with lr_decay 0
    lr_decay: float = 0.0004  # every decay_every images lr is divided by 1 + this, down to 0.000001
    decay_every: int = EPOCH  # images
    ttur_ratio: float = 1.0  # the discriminator's learning rate over the generator's (two time scales)
    momentum: float = 0.5  # SGD's at first, or Adam's beta1
    momentum_rise: float = 0.0008  # of SGD's momentum per 50,000 images
    momentum_end: float = 0.8  # highest value of SGD's momentum
    historical_averaging: float = 0.0  # weight of the distance to the mean of all previous weights

    def __post_init__(self) -> None:
        check_positive(self, "decay_every", "ttur_ratio")
        check_not_negative(self, "lr", "lr_decay", "momentum", "momentum_rise", "historical_averaging")
        if len(self.lr) == 2 and self.lr_decay:
            raise ValueError("lr with two values follows a cosine: set lr_decay to 0, or give one value")

    def discriminator_spec(self, network: nn.Module) -> OptimizerSpec:
        """How a discriminator is optimized."""
        return self._spec(network, self.ttur_ratio)

    def generator_spec(self, network: nn.Module) -> OptimizerSpec:
        """How a generator is optimized."""
        return self._spec(network, 1.0)

    def _spec(self, network: nn.Module, factor: float) -> OptimizerSpec:
        start, end = self.lr[0], self.lr[-1]
        falling = decaying(start, self.lr_decay, self.decay_every, 1e-6)
        lr = scaled(cosine(start, end) if len(self.lr) == 2 else falling, factor)
        if self.optimizer == "adam":
            return adam(network, lr, (self.momentum, 0.999))
        sgd = torch.optim.SGD(network.parameters(), lr=start, momentum=self.momentum, fused=True)
        return OptimizerSpec(sgd, lr, rising(self.momentum, self.momentum_rise, EPOCH, self.momentum_end))


@dataclass(frozen=True)
class AdamOptions:
    """How a single network is optimized."""

    lr: Ramp = (0.001,)  # learning rate; two values: from the first to the last along a cosine
    betas: tuple[float, float] = (0.9, 0.999)  # Adam's decay rates
    clip_grad_norm: float = 0.0  # largest norm of each parameter tensor's gradient; 0 for any

    def __post_init__(self) -> None:
        check_not_negative(self, "lr", "clip_grad_norm")

    def spec(self, network: nn.Module) -> OptimizerSpec:
        """How the network is optimized."""
        spec = adam(network, ramp(self.lr), self.betas)
        if self.clip_grad_norm > 0:
            limit_gradients(spec.optimizer, self.clip_grad_norm)
        return spec


@dataclass(frozen=True)
class PenaltyOptions:
    """Penalties and constraints of the discriminator; a weight of 0 costs nothing."""

    r1: Ramp = (0.0,)  # gamma of R1, on reals; two values: from the first to the last along a cosine
    r2: Ramp = (0.0,)  # gamma of R2, on fakes; two values: along a cosine
    penalty_every: int = 1  # iterations between two computations of R1 and R2 (lazy regularization)
    penalty_fraction: float = 1.0  # fraction of the samples that R1 and R2 are computed on: 1, 1/2, 1/3, ...
    gradient_penalty: float = 0.0  # lambda of WGAN-GP, over all scales
    dragan: float = 0.0  # lambda of DRAGAN
    drift: float = 0.0  # weight of the squared logits of reals
    weight_clip: float = 0.0  # largest absolute value of the discriminator's weights (WGAN); 0 for any

    def __post_init__(self) -> None:
        check_not_negative(self, "r1", "r2", "gradient_penalty", "dragan", "drift", "weight_clip")
        check_positive(self, "penalty_every", "penalty_fraction")
        if self.penalty_fraction > 1 or abs(1 / self.penalty_fraction - self.one_in) > 1e-2:
            raise ValueError(f"penalty_fraction must be 1, 1/2, 1/3, ..., not {self.penalty_fraction}")

    @property
    def one_in(self) -> int:
        """R1 and R2 are computed on one in so many samples."""
        return round(1 / self.penalty_fraction)

    def per_sample(self) -> tuple[str, ...]:
        """Names of the penalties in use that need each sample's own gradient."""
        used = {
            "gradient_penalty": self.gradient_penalty,
            "r1": max(self.r1),
            "r2": max(self.r2),
            "dragan": self.dragan,
        }
        return tuple(name for name, weight in used.items() if weight > 0)


@dataclass(frozen=True)
class AugmentOptions:
    """Differentiable augmentation of all images that the discriminator sees, for small data sets."""

    augment: tuple[OperationName, ...] = ()  # operations on reals and fakes
    augment_p: Ramp = (1.0,)  # probability of each operation for each sample; two values: along a cosine
    ada_target: float = 0.0  # mean sign of the reals' logits that ADA aims at, from p = 0; 0 for augment_p
    ada_kimg: float = 500.0  # thousands of real images in which ADA can raise p from 0 to 1

    def __post_init__(self) -> None:
        if not all(0 <= probability <= 1 for probability in self.augment_p):
            raise ValueError(f"augment_p must be from 0 to 1, not {self.augment_p}")
        if not 0 <= self.ada_target < 1:
            raise ValueError(f"ada_target must be at least 0 and less than 1, not {self.ada_target}")
        check_positive(self, "ada_kimg")
        if self.ada_target > 0 and not self.augment:
            raise ValueError(
                "ada_target needs operations to apply: set augment, for example to flip translation"
            )

    def build(self, objective: str, instance_noise: Schedule = constant(0.0)) -> Augmentation:
        """The augmentation of a pair with that objective, shared by both updaters.

        Raises:
            ValueError: ADA is asked for, and under the objective the sign of the logits means nothing.
        """
        if self.ada_target == 0:
            return Augmentation(self.augment, Scheduled(ramp(self.augment_p)), instance_noise)
        if not OBJECTIVES[objective].absolute:
            known = " or ".join(name for name, one in OBJECTIVES.items() if one.absolute)
            raise ValueError(
                f"ada_target does not go with objective {objective}: ADA reads the sign of the reals' logits, and only "
                f"differences of logits mean anything under {objective}. Leave ada_target at 0 and set a ramp, by two "
                f"values of augment_p; or choose objective {known}"
            )
        return Augmentation(self.augment, Adaptive(self.ada_target, self.ada_kimg * 1000), instance_noise)


@dataclass(frozen=True)
class GrowthOptions:
    """Progressive growing (Karras et al. 2018, arXiv 1710.10196, section 2): each size is faded in, then held."""

    grow_from: int = 0  # side that training begins at, pixels; 0 for the full resolution
    hold: float = 0.0  # how long a size is held before the next fades in, thousands of images
    fade: float = 0.0  # how long the next takes to fade in, thousands of images; 0 to switch at once
    batches: tuple[int, ...] = ()  # real images per step at each size; `batch` from where they end
    r1_power: float = 0.0  # gamma of R1 and R2 is multiplied by (current side / full side) to this power

    def __post_init__(self) -> None:
        if self.grow_from and self.hold <= 0:
            raise ValueError(f"hold must be positive where images grow, not {self.hold}")
        if not self.grow_from and (self.hold or self.fade):
            raise ValueError("hold and fade need grow_from, the side to begin at; without it they must be 0")
        check_positive(self, "batches")
        check_not_negative(self, "fade", "r1_power")

    def check(self, resolution: int) -> None:
        """Raise ValueError unless the run can begin at `grow_from` and end at the resolution."""
        check_resolution(resolution)
        sides = [4 << level for level in range(resolution.bit_length() - 2)]
        if self.grow_from and self.grow_from not in sides:
            known = ", ".join(map(str, sides))
            raise ValueError(f"grow_from must be one of {known}, or 0 for no growth, not {self.grow_from}")

    def schedule(self, resolution: int, batch: int) -> Growth:
        """From `grow_from` to the resolution."""
        if not self.grow_from:
            return steady(resolution, [*self.batches, batch][0])
        sides = [self.grow_from]
        while sides[-1] < resolution:
            sides.append(2 * sides[-1])
        batches = [*self.batches, *[batch] * len(sides)][: len(sides)]
        return progressive(sides, batches, self.hold * 1000, self.fade * 1000)
