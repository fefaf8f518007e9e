"""Rows of the experiment on mixtures of Gaussians that are systems of more than an objective, each as its recipe
composes it, and by which other rows the rest of the systems go.

Labels are the modes. Optimisers and noise, N(0, I), are those of all rows, but for what is said here:

- DCGAN, AC-GAN, InfoGAN, GRAN, Stacked GAN and SAGAN: batch norm in the generator, as in their papers.
- SELU-DCGAN: SELU, and first weights for it, in both networks.
- InfoGAN: one code of as many categories as there are modes and two continuous ones, all of weight 1.
- Stacked GAN: two levels, each with half of the noise, U(0, 1), of which Q reads it. The encoder has the first tenth of
  the rounds to itself; the levels are joined after half.
- GRAN: three steps of 16 numbers each. The canvas is not squashed: points reach beyond [-1, 1].
- BEGAN: ELUs, gamma 0.5, an embedding of one number, as with two the identity would do. k learns by 0.03, not by 0.001:
  by as much faster than the paper's as the networks do.
- DRAW: eight steps of 16 numbers each.
- VAE, DRAW: Gaussian points (see `point_autoencoders.py`). What is judged are points drawn from the likelihood, for its
  noise is a part of the model.
- ProGAN: WGAN-GP with drift and the minibatch standard deviation, one move of each side; lambda is 0.1, as for
  `wgan-penalty`.
- SAGAN: hinge, spectral norm in both networks, betas 0 and 0.9, the discriminator's step size four times the
  generator's. The two lie around the common one as the paper's do around DCGAN's.

Deviations: a point has one size and one place, so nothing grows and there is no attention. Discriminators have no batch
norm, which would hide from them where the fakes lie as a whole: points do not end in tanh, and ran away (DCGAN's, on
the ring). There is no pixel norm, equalised step size, leaky ReLU, dropout, maxout or weight decay, and no step size or
betas of a paper but SAGAN's.
"""

from functools import partial
from math import inf

import torch
from torch import nn

from experiments.gaussians_setting import (
    NON_SATURATING,
    Setting,
    Variation,
    deviation,
    plain_pair,
)
from experiments.point_autoencoders import (
    DrawingPointGenerator,
    Observed,
    PointAutoencoder,
    PointDRAW,
    PointVAE,
)
from experiments.point_stack import PointEncoder, PointLevelDiscriminator, StackedPointGenerator
from experiments.point_systems import (
    AutoencodingDiscriminator,
    CodedPointGenerator,
    LabelledPointDiscriminator,
    LabelledPointGenerator,
    RecurrentPointGenerator,
    TellingPointDiscriminator,
)
from experiments.points import PointDiscriminator, PointGenerator, run_by_run
from training.objectives import OBJECTIVES
from training.objectives.f_divergence import DIVERGENCES
from training.optim.spec import OptimizerSpec
from training.optim.spectral_norm import iterate_after_steps
from training.schedules import cosine, starting_at
from training.system import System
from training.updaters.adversarial import Penalties, adversarial_pair
from training.updaters.autoencoder import AutoencoderUpdater
from training.updaters.began import Equilibrium, EquilibriumDiscriminatorUpdater
from training.updaters.infogan import CodeLoss
from training.updaters.stacked_gan import (
    Bottom,
    EncoderUpdater,
    LevelDiscriminatorUpdater,
    LevelGeneratorUpdater,
    Top,
)


def sagan(sizes: Setting) -> System:
    """Hinge under spectral norm, on two time scales."""
    g = PointGenerator(sizes.runs, sizes.hidden, sizes.latent_size, "spectral-batch")
    d = PointDiscriminator(sizes.runs, sizes.hidden, units="spectral")

    def spec(network: nn.Module, factor: float) -> OptimizerSpec:
        adam = torch.optim.Adam(network.parameters(), betas=(0.0, 0.9), fused=True)
        iterate_after_steps(adam, network)
        return OptimizerSpec(adam, cosine(sizes.lr * factor, 0.0))

    each = run_by_run(OBJECTIVES["hinge"], sizes.runs)
    return System(adversarial_pair(d, g, spec(d, 2), spec(g, 0.5), each), g)


def cgan(sizes: Setting) -> System:
    """Both networks are given the label."""
    g = LabelledPointGenerator(sizes.runs, sizes.hidden, sizes.latent_size, sizes.classes)
    d = LabelledPointDiscriminator(sizes.runs, sizes.hidden, sizes.classes)
    return sizes.pair(d, g, run_by_run(NON_SATURATING, sizes.runs))


def ac_gan(sizes: Setting) -> System:
    """The generator is given the label, the discriminator tells it."""
    g = LabelledPointGenerator(sizes.runs, sizes.hidden, sizes.latent_size, sizes.classes, "batch")
    d = TellingPointDiscriminator(sizes.runs, sizes.hidden, sizes.classes, "classes")
    each = run_by_run(NON_SATURATING, sizes.runs)
    return System(adversarial_pair(d, g, sizes.spec(d), sizes.spec(g), each, classify=1.0), g)


def infogan(sizes: Setting) -> System:
    """The discriminator tells codes, of which nobody says what they are to mean."""
    g = CodedPointGenerator(sizes.runs, sizes.hidden, sizes.latent_size, 2, (sizes.classes,))
    d = TellingPointDiscriminator(sizes.runs, sizes.hidden, g.codes.size, "latents")
    each, loss = run_by_run(NON_SATURATING, sizes.runs), CodeLoss(g.codes, 1.0, 1.0)
    specs = sizes.spec(d), sizes.spec(g)
    pair = adversarial_pair(d, g, *specs, each, auxiliary_losses_d=loss, auxiliary_losses_g=loss)
    return System(pair, g)


def gran(sizes: Setting) -> System:
    """A recurrent generator."""
    g = RecurrentPointGenerator(sizes.runs, sizes.hidden, sizes.latent_size)
    d = PointDiscriminator(sizes.runs, sizes.hidden)
    return sizes.pair(d, g, run_by_run(NON_SATURATING, sizes.runs))


def began(sizes: Setting) -> System:
    """One auto-encoder for a discriminator: k is of a whole batch."""
    g = PointGenerator(1, sizes.hidden, sizes.latent_size, "elu")
    d, equilibrium = AutoencodingDiscriminator(1, sizes.hidden), Equilibrium(gamma=0.5, k_rate=0.03)
    updater = partial(EquilibriumDiscriminatorUpdater, equilibrium=equilibrium)
    specs = sizes.spec(d), sizes.spec(g)
    pair = adversarial_pair(d, g, *specs, equilibrium.objective(), discriminator_updater=updater)
    return System(pair, g)


def alone(name: str, autoencoder: PointAutoencoder, sizes: Setting) -> System:
    """An auto-encoder with latent variables, which plays by itself."""
    updater = AutoencoderUpdater(name, autoencoder, sizes.spec(autoencoder))
    return System((updater,), Observed(autoencoder))


def vae(sizes: Setting) -> System:
    """Auto-encoders of one step."""
    return alone("vae", PointVAE(sizes.runs, sizes.hidden, sizes.latent_size), sizes)


def draw(sizes: Setting) -> System:
    """Auto-encoders of many steps."""
    decoder = DrawingPointGenerator(sizes.runs, sizes.hidden, sizes.latent_size)
    return alone("draw", PointDRAW(decoder), sizes)


def stacked_gan(sizes: Setting) -> System:
    """One encoder of labels, and a pair of networks on each of its levels."""
    hidden, noise, shown = sizes.hidden, sizes.latent_size // 2, sizes.iterations * sizes.batch
    g, e = StackedPointGenerator(hidden, noise, sizes.classes), PointEncoder(sizes.classes, hidden)
    d1, d0 = (PointLevelDiscriminator(numbers, hidden, noise) for numbers in (hidden, 2))
    start, joint = 0.1 * shown, 0.5 * shown
    top = Top("1", e, g.top, d1, 10.0)
    bottom = Bottom("0", e, g.bottom, d0, 10.0, top, joint)
    weight = starting_at(joint, 0.01)
    updaters = (
        EncoderUpdater("e", e, sizes.spec(e), 0, start),
        LevelDiscriminatorUpdater("d1", d1, sizes.spec(d1), start, inf, top),
        LevelGeneratorUpdater("g1", g.top, sizes.spec(g.top), start, inf, top, bottom, weight),
        LevelDiscriminatorUpdater("d0", d0, sizes.spec(d0), start, inf, bottom),
        LevelGeneratorUpdater("g0", g.bottom, sizes.spec(g.bottom), start, inf, bottom, None, weight),
    )
    return System(updaters, g)


_PROGAN = partial(
    plain_pair,
    objective=OBJECTIVES["wgan"],
    penalties=Penalties(gradient_penalty=0.1, drift=0.001),
    statistic=deviation,
)

SYSTEMS: dict[str, Variation] = {
    "dcgan": Variation(partial(plain_pair, objective=NON_SATURATING, units_g="batch")),
    "selu-dcgan": Variation(partial(plain_pair, objective=NON_SATURATING, units_g="selu", units_d="selu")),
    "cgan": Variation(cgan),
    "ac-gan": Variation(ac_gan),
    "infogan": Variation(infogan),
    "stacked-gan": Variation(stacked_gan, 2, together=False),
    "gran": Variation(gran, 2),
    "began": Variation(began, together=False),
    "draw": Variation(draw, 4),
    "vae": Variation(vae),
    "progan": Variation(_PROGAN, 3),
    "sagan": Variation(sagan, 5),
}

# What these are is an objective, with a penalty or two: the rows have it, on the networks of all rows.
KNOWN_AS: dict[str, tuple[str, ...]] = {
    "gan": ("minimax", "non-saturating"),
    "lapgan": ("non-saturating",),
    "lsgan": ("least-squares", "least-squares-pearson"),
    "wgan": ("wgan-clipped",),
    "wgan-gp": ("wgan-penalty",),
    "f-gan": tuple(f"f-{name}" for name in DIVERGENCES),
    "msg-gan": ("ra-hinge",),
    "modern": ("rp-gan-r1-r2",),
}
