"""The player of auto-encoders with latent variables, who plays alone: it raises a bound on the pictures' likelihood.

VAE (Kingma and Welling 2014, arXiv 1312.6114, equation 10) and DRAW (Gregor et al. 2015, arXiv 1502.04623, section 2.2)
differ in their networks only. The bound is in nats per picture, of pixels in [0, 1].
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, kl_divergence

from models.architectures.vae import Autoencoder, Reconstruction
from training.system import Batch, LossOutput, TrainState, Updater


def distance_to_prior(posterior: Distribution) -> Tensor:
    """KL(q(z | x) || N(0, I)), the sum over a picture's latent numbers, nats: (N, L) -> (N,)."""
    zero = torch.zeros((), device=posterior.mean.device)
    return kl_divergence(posterior, Normal(zero, zero + 1, validate_args=False)).sum(1)


def surprise(likelihood: Distribution, images: Tensor) -> Tensor:
    """-log p(x | z), the sum over a picture's numbers, nats: images (N, C, H, W) in [-1, 1] -> (N,)."""
    return -likelihood.log_prob((images.float() + 1) / 2).flatten(1).sum(1)


@dataclass
class Reconstruct(Updater):
    """The only side: encode reals, and paint them again."""

    network: Autoencoder

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:  # noqa: ARG002 - it plays alike at all times
        """Minus the bound, by one sample of the posterior for each picture."""
        noise = batch.rng.draw("latents", self.network.decoder.prior)
        reconstruction: Reconstruction = self.network(batch.reals, noise)
        rest = surprise(reconstruction.likelihood, batch.reals).mean()
        distance = distance_to_prior(reconstruction.posterior).mean()
        loss = rest + distance
        return LossOutput(loss, {"loss/bound": loss, "nats/reconstruction": rest, "nats/kl": distance})
