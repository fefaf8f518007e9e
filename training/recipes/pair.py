"""A discriminator against a generator: what recipes of adversarial pairs share."""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from torch import nn

from models.discriminator import Discriminator
from models.generator import Generator
from models.layers.minibatch import MinibatchDiscriminator, MinibatchLayer
from models.layers.normalization import BatchNorm, apply_spectral_norm
from training.objectives import OBJECTIVES, Objective
from training.objectives.logistic import non_saturating_d
from training.optim.historical_averaging import average_history
from training.optim.spec import OptimizerSpec
from training.optim.spectral_norm import iterate_after_steps
from training.optim.weight_clipping import clip_after_steps
from training.recipes.options import (
    AugmentOptions,
    GrowthOptions,
    OptimizerOptions,
    PenaltyOptions,
    SGDOptions,
)
from training.recipes.recipe import check_not_negative, check_positive
from training.schedules import Ramp, Schedule, early_steps, ramp
from training.updaters.adversarial import (
    AuxiliaryLosses,
    CombineLosses,
    DiscriminatorUpdater,
    GeneratorUpdater,
    MakeDiscriminatorUpdater,
    Penalties,
    adversarial_pair,
    no_auxiliary_losses,
    weighted_sum,
)

if TYPE_CHECKING:
    ObjectiveName = str
else:
    ObjectiveName = Literal[tuple(OBJECTIVES)]  # the registry's

_SMOOTHED = ("non-saturating", "minimax")  # objectives with a target probability of reals


@dataclass(frozen=True)
class DiscriminatorOptions:
    """Tricks that go with any discriminator."""

    label_smoothing: float = 0.0  # one-sided: reals get the target probability 1 - this
    instance_noise: Ramp = (0.0,)  # deviation of Gaussian noise on all images; two values: along a cosine
    spectral_norm: bool = False  # of the discriminator's convolutions and dense layers

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be at least 0 and below 1, not {self.label_smoothing}")
        check_not_negative(self, "instance_noise")

    @property
    def real_target(self) -> float:
        """Target probability of reals."""
        return 1 - self.label_smoothing


@dataclass(frozen=True)
class PairOptions:
    """How a discriminator and a generator are trained against each other."""

    objective: ObjectiveName = "non-saturating"  # losses of discriminator and generator
    n_critic: int = 1  # the discriminator's steps per iteration
    n_critic_early: int = 0  # the same in the first 25 iterations and in every 500th; 0: as always
    classify: float = 0.0  # weight of the class losses, for discriminators that predict the class (AC-GAN)
    feature_matching: float = 0.0  # weight of feature matching in the generator's loss
    minibatch: Literal["none", MinibatchLayer] = "none"  # appended to the discriminator's features

    def __post_init__(self) -> None:
        check_positive(self, "n_critic")
        check_not_negative(self, "classify", "feature_matching")
        if self.n_critic_early and self.n_critic_early < self.n_critic:
            raise ValueError(
                f"n_critic_early must be 0 or at least n_critic, {self.n_critic}, not {self.n_critic_early}"
            )


def optimize_pair(
    optimizer: OptimizerOptions | SGDOptions,
    options: DiscriminatorOptions,
    discriminator: nn.Module,
    generator: nn.Module,
    weight_clip: float = 0.0,  # largest absolute value of the discriminator's weights; 0 for any
) -> tuple[OptimizerSpec, OptimizerSpec]:
    """How a discriminator and a generator are optimized; spectral norm, if asked for, is applied first."""
    if options.spectral_norm:
        apply_spectral_norm(discriminator)
    specs = optimizer.discriminator_spec(discriminator), optimizer.generator_spec(generator)
    if weight_clip > 0:
        clip_after_steps(specs[0].optimizer, weight_clip)
    for network, spec in zip((discriminator, generator), specs, strict=True):
        iterate_after_steps(spec.optimizer, network)
        if optimizer.historical_averaging > 0:
            average_history(spec.optimizer, optimizer.historical_averaging)
    return specs


def smoothed(name: str, options: DiscriminatorOptions) -> Objective:
    """The objective of that name, with smoothed labels.

    Raises:
        ValueError: the objective has no labels to smooth.
    """
    if options.label_smoothing == 0:
        return OBJECTIVES[name]
    if name not in _SMOOTHED:
        raise ValueError(f"label_smoothing goes with objective {' or '.join(_SMOOTHED)}, not with {name}")
    return replace(OBJECTIVES[name], d=partial(non_saturating_d, target=options.real_target))


def build_pair(
    discriminator: Discriminator,
    generator: Generator,
    optimizer: OptimizerOptions | SGDOptions,
    pair: PairOptions,
    options: DiscriminatorOptions,
    penalties: PenaltyOptions,
    augmentation: AugmentOptions,
    *,
    growth: tuple[GrowthOptions, int] | None = None,  # with the full resolution, where images may grow
    classify: float | None = None,  # weight of the class losses, in place of the pair's
    objective: Objective | None = None,  # in place of the registry's of the pair's name
    auxiliary_losses_d: AuxiliaryLosses = no_auxiliary_losses,
    auxiliary_losses_g: AuxiliaryLosses = no_auxiliary_losses,
    combine_g: CombineLosses = weighted_sum,  # of the generator's losses with its auxiliary ones
    discriminator_updater: MakeDiscriminatorUpdater = DiscriminatorUpdater,
) -> tuple[DiscriminatorUpdater, GeneratorUpdater]:
    """The updaters of the two networks, with all of the options applied.

    Raises:
        ValueError: options do not go with the objective, or with the discriminator.
    """
    classify = pair.classify if classify is None else classify
    check_discriminator(discriminator, pair, penalties, classify)
    registered = smoothed(pair.objective, options)
    if pair.minibatch != "none":
        discriminator = MinibatchDiscriminator(discriminator, pair.minibatch)
    spec_d, spec_g = optimize_pair(optimizer, options, discriminator, generator, penalties.weight_clip)
    return adversarial_pair(
        discriminator,
        generator,
        spec_d,
        spec_g,
        objective or registered,
        penalties=Penalties(
            r1=_gamma(penalties.r1, growth),
            r2=_gamma(penalties.r2, growth),
            every=penalties.penalty_every,
            one_in=penalties.one_in,
            gradient_penalty=penalties.gradient_penalty,
            dragan=penalties.dragan,
            drift=penalties.drift,
        ),
        classify=classify,
        augment=augmentation.build(pair.objective, ramp(options.instance_noise)),
        auxiliary_losses_d=auxiliary_losses_d,
        auxiliary_losses_g=auxiliary_losses_g,
        combine_g=combine_g,
        feature_matching=pair.feature_matching,
        n_critic=pair.n_critic,
        extra_critic_steps=early_steps(max(0, pair.n_critic_early - pair.n_critic), 25, 500),
        discriminator_updater=discriminator_updater,
    )


def _gamma(values: Ramp, growth: tuple[GrowthOptions, int] | None) -> Schedule:
    """Weight of R1 or R2, at the current size where images grow."""
    full = ramp(values)
    if growth is None:
        return full
    options, resolution = growth
    schedule = options.schedule(resolution, 1)
    return lambda state: (
        full(state) * math.pow(schedule.at(state.images).resolution / resolution, options.r1_power)
    )


def check_discriminator(
    discriminator: Discriminator,
    pair: PairOptions,
    penalties: PenaltyOptions,
    classify: float,  # weight of the class losses
) -> None:
    """Raise ValueError where the discriminator does not go with the options."""
    normalized = any(isinstance(module, BatchNorm) for module in discriminator.modules())
    for name in penalties.per_sample() if normalized else ():
        raise ValueError(
            f"{name} needs each sample's own gradient, which the discriminator's batch norm mixes with the others': "
            f"set {name} to 0, or choose a norm_d other than batch where the recipe has it"
        )
    if pair.feature_matching > 0 and discriminator.feature_size == 0:
        raise ValueError("feature_matching needs features, which this system's discriminator does not have")
    if classify > 0 and not discriminator.predicts_classes:
        raise ValueError(
            "classify needs a discriminator that predicts the class, which this system's does not"
        )
