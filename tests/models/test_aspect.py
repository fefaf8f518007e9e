"""Networks for pictures that are not square: sizes, gradients, and the square ones as they were."""

from collections.abc import Callable

import pytest
import torch

from common.aspect import Aspect, checked_aspect, resolution_of, size_at
from models.architectures.modern import ModernDiscriminator, ModernGenerator
from models.architectures.msg_gan import MSGDiscriminator, MSGGenerator
from models.architectures.progan import ProGANDiscriminator, ProGANGenerator
from models.architectures.sagan import SAGANDiscriminator, SAGANGenerator
from models.discriminator import Discriminator
from models.generator import Generator

W = (8, 8, 8)
FRAMES: list[Aspect] = [(4, 6), (5, 4), (4, 16)]
Pair = Callable[[Aspect], tuple[Generator, Discriminator]]
PAIRS: dict[str, Pair] = {
    "msg-gan": lambda f: (
        MSGGenerator(16, W, 6, 3, (4, 8), f),
        MSGDiscriminator(16, W, 3, "lin_cat", (4,), f),
    ),
    "progan": lambda f: (
        ProGANGenerator(16, W, 6, 3, (), (4, 8), f),
        ProGANDiscriminator(16, W, 3, 0, 4, (4,), f),
    ),
    "sagan": lambda f: (SAGANGenerator(16, W, 6, (), (4, 8), 3, f), SAGANDiscriminator(16, W, 0, (4,), 3)),
    "modern": lambda f: (
        ModernGenerator(16, W, 1, 6, 3, (4,), (), None, f),
        ModernDiscriminator(16, W, 1, 3, (4,), aspect=f),
    ),
}


def test_sizes() -> None:
    assert [size_at(r, (4, 6)) for r in (4, 8, 64)] == [(4, 6), (8, 12), (64, 96)]
    assert size_at(1024, (16, 4)) == (4096, 1024)
    assert resolution_of(torch.zeros(2, 3, 64, 96)) == resolution_of(torch.zeros(2, 3, 96, 64)) == 64


@pytest.mark.parametrize("aspect", [(4,), (4, 3), (5, 6), (4, 17), (4, 4, 4), (-4, 4)])
def test_a_bad_aspect_is_refused(aspect: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="whose shorter side is 4 and whose longer side is at most 16"):
        checked_aspect(aspect)
    with pytest.raises(ValueError, match="aspect must be"):
        MSGGenerator(8, (4, 4), 4, aspect=aspect)


@pytest.mark.parametrize("aspect", FRAMES)
@pytest.mark.parametrize("name", PAIRS)
def test_every_picture_has_its_size_and_every_weight_learns(name: str, aspect: Aspect) -> None:
    torch.manual_seed(0)
    g, d = PAIRS[name](aspect)
    with torch.no_grad():
        for parameter in [*g.parameters(), *d.parameters()]:
            parameter.add_(0.1 * torch.randn_like(parameter))  # what begins at zero lets nothing through
    g.refresh_statistics()
    pictures = g(g.prior(4, torch.Generator().manual_seed(0)))
    assert [tuple(picture.shape) for picture in pictures] == [(4, 3, *size_at(r, aspect)) for r in (4, 8, 16)]
    seen = [picture for picture in pictures if resolution_of(picture) in d.resolutions]
    d(seen).logits.square().sum().backward()
    unused = {"to_rgb.0", "to_rgb.1"} if name == "progan" else set()  # toRGB that growing has left behind
    unused |= {"from_rgb.0", "from_rgb.1"} if name == "progan" else set()
    for network in (g, d):
        for key, parameter in network.named_parameters():
            if not any(key.startswith(prefix) for prefix in unused):
                assert parameter.grad is not None, key
                assert parameter.grad.any(), key


@pytest.mark.parametrize("name", ["msg-gan", "progan", "modern"])
def test_a_turned_picture_is_another(name: str) -> None:
    _, d = PAIRS[name]((4, 6))
    turned = [torch.zeros(4, 3, *size_at(r, (6, 4))) for r in d.resolutions]
    with pytest.raises(RuntimeError):
        d(turned)


@pytest.mark.parametrize("name", PAIRS)
def test_settings_build_it_again(name: str) -> None:
    generator, _ = PAIRS[name]((4, 6))
    settings = generator.settings()
    assert list(settings)[-1] == "aspect"
    again = type(generator)(**settings)
    again.load_state_dict(generator.state_dict())
    assert again.aspect == (4, 6)
    without = {key: value for key, value in settings.items() if key != "aspect"}
    assert type(generator)(**without).aspect == (4, 4), "models from before were of squares"


@pytest.mark.parametrize("name", PAIRS)
def test_only_the_coarsest_layers_depend_on_it(name: str) -> None:
    def sizes(aspect: Aspect) -> dict[str, int]:
        return {
            key: value.numel()
            for network in PAIRS[name](aspect)
            for key, value in network.state_dict().items()
        }

    square, wide = sizes((4, 4)), sizes((4, 6))
    assert {key for key in square if square[key] != wide[key]} <= {
        *(
            "dense.weight",
            "dense.bias",
            "dense.parametrizations.weight.original",
            "dense.parametrizations.weight.0.left",
            "center",
            "latent_conv.weight",
            "conv_last.weight",
            "basis",
        )
    }
    assert sum(wide.values()) > sum(square.values())
