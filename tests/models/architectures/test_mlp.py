"""The first GAN's dense networks."""

import pytest
import torch
from torch import nn

from models.architectures.mlp import Maxout, MaxoutDiscriminator, MLPGenerator


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_papers_networks_have_their_sizes_by_hand() -> None:
    pixels = 3 * 32 * 32
    assert _count(MLPGenerator()) == 101 * 1200 + 1201 * 1200 + 1201 * pixels
    assert _count(MaxoutDiscriminator()) == (pixels + 1) * 1200 + 241 * 1200 + 241


@pytest.mark.parametrize("aspect", [(4, 4), (4, 6), (7, 4)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_and_a_verdict(channels: int, aspect: tuple[int, int]) -> None:
    generator = MLPGenerator(16, 10, 6, channels, aspect)
    assert generator.resolutions == (16,)
    (image,) = generator(generator.prior(3, torch.Generator().manual_seed(0)))
    assert image.shape == (3, channels, 4 * aspect[0], 4 * aspect[1])
    assert image.abs().max() < 1
    discriminator = MaxoutDiscriminator(16, 5, 3, channels, aspect)
    assert discriminator([image]).logits.shape == (3,)


def test_every_parameter_receives_a_gradient() -> None:
    torch.manual_seed(0)
    generator, discriminator = MLPGenerator(8, 10, 6), MaxoutDiscriminator(8, 5, 3)
    images = generator(generator.prior(64, torch.Generator().manual_seed(0)))
    discriminator(images).logits.square().sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_maxout_is_the_largest_of_its_pieces() -> None:
    layer = Maxout(4, 3, 2)
    x = torch.randn(5, 4)
    dense = x @ layer.dense.weight.T + layer.dense.bias
    pairs = [torch.maximum(dense[:, 2 * unit], dense[:, 2 * unit + 1]) for unit in range(3)]
    torch.testing.assert_close(layer(x), torch.stack(pairs, dim=1))


def test_the_discriminator_drops_out_in_training_alone() -> None:
    torch.manual_seed(0)
    discriminator = MaxoutDiscriminator(8, 50, 3)
    images = [torch.randn(4, 3, 8, 8)]
    assert not torch.equal(discriminator(images).logits, discriminator(images).logits)
    discriminator.eval()
    assert torch.equal(discriminator(images).logits, discriminator(images).logits)


def test_the_discriminator_can_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    discriminator = MaxoutDiscriminator(8, 4, 2, 1).double().eval()
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: discriminator([x]).logits ** 2, (x,))  # type: ignore[no-untyped-call]
    assert torch.autograd.gradgradcheck(lambda x: discriminator([x]).logits ** 2, (x,))  # type: ignore[no-untyped-call]


def test_the_papers_first_weights() -> None:
    for network, limit in ((MLPGenerator(8, 100), 0.05), (MaxoutDiscriminator(8, 50), 0.005)):
        for layer in (m for m in network.modules() if isinstance(m, nn.Linear)):
            assert 0.8 * limit < layer.weight.abs().max() <= limit
            assert layer.bias.eq(0).all()


def test_settings_build_the_same_network() -> None:
    generator = MLPGenerator(16, 10, 6, 4, (4, 5))
    other = MLPGenerator(**generator.settings())
    other.load_state_dict(generator.state_dict())
    z = generator.prior(2, torch.Generator().manual_seed(0))
    assert torch.equal(other(z)[0], generator(z)[0])
    torch.testing.assert_close(next(generator.stream(z, 0.5)), generator(z * 0.5)[0])


def test_bad_sizes_are_refused() -> None:
    for network in (MLPGenerator, MaxoutDiscriminator):
        with pytest.raises(ValueError, match="resolution must be a power of two from 8 to 1024, not 28"):
            network(28)
