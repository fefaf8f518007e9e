"""Stacked GAN (Huang et al. 2017, arXiv 1612.04357); networks in `models/architectures/stacked_gan.py`, players in
`training/updaters/stacked_gan.py`. For data with labels.

`stacked-gan` has the settings of the authors' code for MNIST, at 32x32: Adam 0.0001 with beta1 0.5, batch 100, 200
epochs of 60,000 images, weights 1, 1 and 10. The encoder takes the first five epochs; half of the run is joint.

Deviations: in the joint part G1's loss has a share of 0.01 of G0's, as in the code for CIFAR-10; sides move in turn,
once each. What is sampled and shipped is a moving average of the weights.
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
from training.optim.spec import adam
from training.recipes.judged import JudgedRecipe
from training.recipes.recipe import DataFormat
from training.schedules import beginning, ramp
from training.system import System
from training.updaters.stacked_gan import Bottom, DiscriminateLevel, Encode, GenerateLevel, Top


@dataclass(frozen=True)
class StackedGANRecipe(JudgedRecipe):
    """Stacked GAN: from labels to an encoder's features, from these to pictures."""

    needs_labels: ClassVar[bool] = True

    encoder_kimg: float = 300.0  # training of the encoder, thousands of images
    joint_kimg: float = 6_000.0  # images shown before the levels are joined, thousands
    widths_e: tuple[int, ...] = (32, 32)  # channels of the encoder, fine to coarse
    widths_g: tuple[int, ...] = (128, 128, 64)  # channels of G0, coarse to fine
    widths_d: tuple[int, ...] = (32, 64, 128)  # channels of D0, fine to coarse
    feature_size: int = 256  # length of the encoder's features
    noise_sizes: tuple[int, int] = (50, 50)  # length of the noise of G1 and G0
    entropy: float = 10.0  # weight of the entropy loss
    share: float = 0.01  # weight of G0's loss in G1's, once joined
    lr: float = 0.0001  # Adam's step size, all networks

    def __post_init__(self) -> None:
        super().__post_init__()
        own, most = self.encoder_kimg, self.joint_kimg
        if not 0 < own <= most:
            raise ValueError(f"encoder_kimg must be positive and at most joint_kimg, {most}, not {own}")

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        side, size, shape = self.resolution, self.feature_size, (data.channels, data.aspect)
        g = StackedGenerator(data.class_names, side, self.widths_g, size, self.noise_sizes, *shape)
        e = Encoder(len(data.class_names), side, self.widths_e, size, *shape)
        d1 = top_discriminator(size, self.noise_sizes[0])
        d0 = bottom_discriminator(side, self.widths_d, self.noise_sizes[1], *shape)
        start, joint = self.encoder_kimg * 1000, self.joint_kimg * 1000
        share, when, move = beginning(joint, self.share), (start, inf), adam(self.lr)
        upper, lower = (self.moved(d, each, move, move) for d, each in ((d1, g.top), (d0, g.bottom)))
        blur, target = ramp(self.noise), self.real_target
        top = Top("1", e, g.top, d1, self.entropy, blur=blur, target=target)
        bottom = Bottom("0", e, g.bottom, d0, self.entropy, top, joint, blur=blur, target=target)
        updaters = (
            Encode("e", e, *move(e)[:2], 0, start),
            DiscriminateLevel("d1", d1, *upper[0][:2], *when, top),
            GenerateLevel("g1", g.top, *upper[1][:2], *when, top, bottom, share),
            DiscriminateLevel("d0", d0, *lower[0][:2], *when, bottom),
            GenerateLevel("g0", g.bottom, *lower[1][:2], *when, bottom, None, share),
        )
        return System(updaters, g)


def stacked_gan() -> StackedGANRecipe:
    """The networks of the code for MNIST, at 32x32; they train on two CPU cores."""
    return StackedGANRecipe(resolution=32, kimg=12_000, batch=100, flip=False)
