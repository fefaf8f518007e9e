"""Two processes give ProGAN's discriminator the gradients of one, though groups of samples reach over both."""

from pathlib import Path

import torch
from torch import Tensor

from models.architectures.progan import ProGANDiscriminator
from tests.training.ranks import on_ranks
from training.distributed.collective import average_gradients, use_global_batch
from training.penalties.gradient import one_centered


def _gradients(part: slice, global_batch: bool = True) -> dict[str, Tensor]:
    """Gradients of WGAN-GP in mid-fade, for this rank's part of a batch of eight in groups of four."""
    torch.manual_seed(0)
    discriminator = ProGANDiscriminator(8, (8, 6))
    discriminator.grow(8, 0.5)
    if global_batch:
        use_global_batch(discriminator)
    reals, fakes, mix = torch.randn(8, 3, 8, 8)[part], torch.randn(8, 3, 8, 8)[part], torch.rand(8)[part]
    real, fake = discriminator([reals]).logits, discriminator([fakes]).logits
    penalty = one_centered(lambda images: discriminator(images).logits, [reals], [fakes], mix)
    (fake.mean() - real.mean() + 10 * penalty).backward()  # type: ignore[no-untyped-call]
    average_gradients(discriminator.parameters())
    return {name: p.grad for name, p in discriminator.named_parameters() if p.grad is not None}


def _both(part: slice) -> dict[str, Tensor]:
    """These, and with groups within the rank."""
    local = {f"local.{name}": gradient for name, gradient in _gradients(part, global_batch=False).items()}
    return _gradients(part) | local


def test_two_ranks_give_the_gradients_of_one(tmp_path: Path) -> None:
    one = _gradients(slice(0, 8))
    ranks = on_ranks(_both, tmp_path)
    for found in ranks:
        assert len(found) == 2 * len(one)
        for name, value in one.items():
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(ranks[0]["local.conv.weight"], one["conv.weight"], rtol=1e-2, atol=1e-3)
