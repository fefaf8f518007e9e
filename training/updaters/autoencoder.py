"""The updater of auto-encoders with latent variables: it maximizes a lower bound on the images' likelihood.

VAE (Kingma and Welling 2014, arXiv 1312.6114, equation 10) and DRAW (Gregor et al. 2015, arXiv 1502.04623, section 2.2)
differ in their networks only. The bound is in nats per image, of pixels in [0, 1].
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, kl_divergence

from models.architectures.vae import Autoencoder, Reconstruction
from training.schedules import TrainState
from training.system import Batch, LossOutput, Updater


def kl_to_prior(posterior: Distribution) -> Tensor:
    """KL(q(z | x) || N(0, I)), summed over an image's latent dimensions, nats: (N, L) -> (N,)."""
    zero = torch.zeros((), device=posterior.mean.device)
    return kl_divergence(posterior, Normal(zero, zero + 1, validate_args=False)).sum(1)


def negative_log_likelihood(likelihood: Distribution, images: Tensor) -> Tensor:
    """-log p(x | z), summed over an image's values, nats: images (N, C, H, W) in [-1, 1] -> (N,)."""
    return -likelihood.log_prob((images.float() + 1) / 2).flatten(1).sum(1)


@dataclass
class AutoencoderUpdater(Updater):
    """Trains an auto-encoder to reconstruct reals."""

    network: Autoencoder

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:  # noqa: ARG002
        """Minus the bound, from one sample of the posterior per image."""
        noise = batch.rng.draw("latents", self.network.decoder.prior)
        reconstruction: Reconstruction = self.network(batch.reals, noise)
        rest = negative_log_likelihood(reconstruction.likelihood, batch.reals).mean()
        distance = kl_to_prior(reconstruction.posterior).mean()
        loss = rest + distance
        return LossOutput(loss, {"loss/bound": loss, "nats/reconstruction": rest, "nats/kl": distance})
