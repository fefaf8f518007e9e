"""Stacked GAN (Huang et al. 2017, arXiv 1612.04357); networks in `models/architectures/stacked_gan.py`, updaters in
`training/updaters/stacked_gan.py`. For labeled data.

`stacked-gan` has the settings of the authors' code for MNIST, at 32x32: Adam 0.0001 with beta1 0.5, batch 100, 200
epochs of 60,000 images, weights 1, 1 and 10. The encoder takes the first five epochs; half of the run is joint.

Deviations: in the joint part G1's loss includes G0's with a weight of 0.01, as in the code for CIFAR-10; networks are
updated in turn, once each. What is sampled and shipped is a moving average of the weights.
"""

from dataclasses import dataclass
from math import inf
from typing import ClassVar

from models.architectures.stacked_gan import (
    Encoder,
    StackedGenerator,
    bottom_discriminator,
    top_discriminator,
)
from training.recipes.options import OptimizerOptions
from training.recipes.pair import DiscriminatorOptions, optimize_pair
from training.recipes.recipe import DataFormat, Recipe
from training.schedules import ramp, starting_at
from training.system import System
from training.updaters.stacked_gan import (
    Bottom,
    EncoderUpdater,
    LevelDiscriminatorUpdater,
    LevelGeneratorUpdater,
    Top,
)


@dataclass(frozen=True)
class StackedGANNetworks:
    """An encoder, and a generator and a discriminator at each of two levels."""

    widths_e: tuple[int, ...] = (32, 32)  # channels of the encoder, fine to coarse
    widths_g: tuple[int, ...] = (128, 128, 64)  # channels of G0, coarse to fine
    widths_d: tuple[int, ...] = (32, 64, 128)  # channels of D0, fine to coarse
    feature_size: int = 256  # length of the encoder's features
    latent_sizes: tuple[int, int] = (50, 50)  # length of the noise of G1 and G0


@dataclass(frozen=True)
class StackedGANStages:
    """When the parts of the stack are trained, and the weights of their losses."""

    encoder_kimg: float = 300.0  # training of the encoder, thousands of images
    joint_kimg: float = 6_000.0  # images shown before the levels are joined, thousands
    joint_weight: float = 0.01  # of G0's loss in G1's, once joined
    entropy: float = 10.0  # weight of the entropy loss

    def __post_init__(self) -> None:
        if not 0 < self.encoder_kimg <= self.joint_kimg:
            raise ValueError(
                f"encoder_kimg must be positive and at most joint_kimg, {self.joint_kimg}, not {self.encoder_kimg}"
            )


@dataclass(frozen=True)
class StackedGANRecipe(Recipe):
    """Stacked GAN: from labels to an encoder's features, from these to images."""

    needs_labels: ClassVar[bool] = True

    network: StackedGANNetworks = StackedGANNetworks()
    stages: StackedGANStages = StackedGANStages()
    optimizer: OptimizerOptions = OptimizerOptions(lr=(0.0001,))
    discriminator: DiscriminatorOptions = DiscriminatorOptions()

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network, stages, options = self.network, self.stages, self.discriminator
        side, size, shape = self.resolution, network.feature_size, (data.channels, data.aspect)
        g = StackedGenerator(data.class_names, side, network.widths_g, size, network.latent_sizes, *shape)
        e = Encoder(len(data.class_names), side, network.widths_e, size, *shape)
        d1 = top_discriminator(size, network.latent_sizes[0])
        d0 = bottom_discriminator(side, network.widths_d, network.latent_sizes[1], *shape)
        spec_d1, spec_g1 = optimize_pair(self.optimizer, options, d1, g.top)
        spec_d0, spec_g0 = optimize_pair(self.optimizer, options, d0, g.bottom)
        noise, target = ramp(options.instance_noise), options.real_target
        start, joint = stages.encoder_kimg * 1000, stages.joint_kimg * 1000
        top = Top("1", e, g.top, d1, stages.entropy, instance_noise=noise, real_target=target)
        bottom = Bottom(
            "0", e, g.bottom, d0, stages.entropy, top, joint, instance_noise=noise, real_target=target
        )
        weight = starting_at(joint, stages.joint_weight)
        updaters = (
            EncoderUpdater("e", e, self.optimizer.generator_spec(e), 0, start),
            LevelDiscriminatorUpdater("d1", d1, spec_d1, start, inf, top),
            LevelGeneratorUpdater("g1", g.top, spec_g1, start, inf, top, bottom, weight),
            LevelDiscriminatorUpdater("d0", d0, spec_d0, start, inf, bottom),
            LevelGeneratorUpdater("g0", g.bottom, spec_g0, start, inf, bottom, None, weight),
        )
        return System(updaters, g)


def stacked_gan() -> StackedGANRecipe:
    """The networks of the code for MNIST, at 32x32; they train on two CPU cores."""
    return StackedGANRecipe(resolution=32, kimg=12_000, batch=100, flip=False)
