"""DRAW: its filters by closed forms, its steps, its sizes."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli

from models.architectures.draw import DRAW, DRAWGenerator, filters
from models.architectures.vae import Reconstruction
from models.checkpoint import load_generator, save_generator


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _draw(channels: int = 1, aspect: tuple[int, int] = (4, 4), steps: int = 3) -> DRAW:
    torch.manual_seed(0)
    return DRAW(DRAWGenerator(8, steps, 4, 12, 3, channels, aspect), 2)


def _place(
    x: float, y: float, size: tuple[int, int], stride: float, count: int, sharp: float = -12, gain: float = 1
) -> Tensor:
    """Parameters of a grid centred at pixel x, y, counted from 1."""
    height, width = size
    unit = (max(size) - 1) / (count - 1)
    return torch.tensor(
        [
            [
                *(2 * x / (width + 1) - 1, 2 * y / (height + 1) - 1),
                *(sharp, math.log(stride / unit), math.log(gain)),
            ]
        ],
        dtype=torch.float64,
    )


def test_sharp_filters_read_the_pixels_that_they_are_placed_on() -> None:
    image = torch.arange(6 * 9.0).view(1, 1, 6, 9)
    found = filters(_place(5, 3, (6, 9), stride=1, count=3), (6, 9), 3).read(image)
    torch.testing.assert_close(found, image[..., 1:4, 3:6])  # rows 2 to 4 and columns 4 to 6, counted from 1
    wide = filters(_place(5, 3, (6, 9), stride=2, count=3, gain=2.5), (6, 9), 3).read(image)
    torch.testing.assert_close(wide, 2.5 * image[..., 0:5:2, 2:7:2])


def test_an_even_number_of_filters_lies_about_the_centre() -> None:
    image = torch.arange(36.0).view(1, 1, 6, 6)
    found = filters(_place(2.5, 4.5, (6, 6), stride=1, count=2), (6, 6), 2).read(image)
    torch.testing.assert_close(found, image[..., 3:5, 1:3])


def test_parameters_of_zero_cover_the_picture() -> None:
    bank = filters(torch.zeros(1, 5), (9, 9), 3)
    weights = torch.exp(-(torch.arange(9.0) - torch.tensor([[0.0], [4.0], [8.0]])).square() / 2)
    for side in (bank.y, bank.x):
        torch.testing.assert_close(side[0], weights / weights.sum(1, keepdim=True))
    assert bank.intensity.item() == 1


def test_filters_sum_to_one_wherever_they_see_something() -> None:
    bank = filters(torch.randn(20, 5) * 0.3, (7, 5), 3)
    assert bank.y.shape == (20, 3, 7)
    assert bank.x.shape == (20, 3, 5)
    torch.testing.assert_close(bank.x.sum(2), torch.ones(20, 3))
    away = filters(_place(100, 100, (7, 5), stride=1, count=3).float(), (7, 5), 3)
    assert away.x.eq(0).all()  # and not 0 / 0


def test_writing_is_the_adjoint_of_reading_but_for_the_intensity() -> None:
    torch.manual_seed(0)
    parameters = torch.randn(4, 5)
    images, patches = torch.randn(4, 3, 7, 5), torch.randn(4, 3, 3, 3)
    where = filters(parameters, (7, 5), 3)
    read = (where.read(images) * patches).sum((1, 2, 3))
    written = (where.write(patches) * images).sum((1, 2, 3))
    torch.testing.assert_close(read, written * parameters[:, 4].exp().square())


def test_gradients_through_the_filters() -> None:
    """Every parameter moves what is read, by its derivative."""
    torch.manual_seed(0)
    parameters, image, weights = torch.randn(1, 5) * 0.3, torch.randn(1, 1, 5, 4), torch.randn(1, 1, 2, 2)

    def read(x: Tensor) -> Tensor:
        return (filters(x, (5, 4), 2).read(image) * weights).sum()

    (exact,) = torch.autograd.grad(read(parameters.requires_grad_()), parameters)
    with torch.no_grad():
        steps = torch.eye(5).unsqueeze(1) * 1e-2
        numeric = [(read(parameters + step) - read(parameters - step)) / 2e-2 for step in steps]
    torch.testing.assert_close(exact[0], torch.stack(numeric), rtol=1e-2, atol=1e-3)
    assert exact.abs().min() > 1e-2


@pytest.mark.parametrize(("steps", "latent_size", "read"), [(64, 100, 2), (10, 10, 5)])
def test_the_papers_sizes_by_hand(steps: int, latent_size: int, read: int) -> None:
    network = DRAW(DRAWGenerator(32, steps, latent_size), read)
    lstm_d = 4 * 256 * (latent_size + 256 + 2)  # torch has two biases
    assert _count(network.decoder) == lstm_d + 257 * 5 + 257 * 25
    lstm_e = 4 * 256 * (2 * read**2 + 256 + 256 + 2)
    assert _count(network) - _count(network.decoder) == lstm_e + 257 * 5 + 257 * 2 * latent_size
    assert network.decoder.input_size == steps * latent_size


@pytest.mark.parametrize(("channels", "aspect"), [(1, (4, 4)), (3, (4, 6)), (4, (7, 4))])
def test_pictures_of_any_channels_and_proportions(channels: int, aspect: tuple[int, int]) -> None:
    network = _draw(channels, aspect)
    images = torch.rand(2, channels, 2 * aspect[0], 2 * aspect[1]) * 2 - 1
    found: Reconstruction = network(images, torch.randn(2, 12))
    assert found.posterior.mean.shape == (2, 12)
    assert found.likelihood.mean.shape == images.shape
    z = network.decoder.prior(2, torch.Generator().manual_seed(0))
    assert [picture.shape for picture in network.decoder(z)] == [images.shape]


def test_the_decoder_paints_what_was_inferred() -> None:
    """The whole network's last canvas is the generator's, at the posterior's samples."""
    network = _draw()
    noise = torch.randn(2, 12)
    found: Reconstruction = network(torch.rand(2, 1, 8, 8) * 2 - 1, noise)
    assert isinstance(found.likelihood, Bernoulli)
    z = found.posterior.mean + noise * found.posterior.stddev
    torch.testing.assert_close(network.decoder(z)[0], found.likelihood.probs * 2 - 1)


def test_each_step_adds_to_the_canvas_what_its_latents_say() -> None:
    generator = _draw().decoder
    z = generator.prior(1, torch.Generator().manual_seed(0))
    before = list(generator.canvases(z))
    assert len(before) == 3
    other = z.clone()
    other[:, 4:8] *= -1  # of the second step
    after = list(generator.canvases(other))
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, False, False]
    assert torch.equal(generator(z)[0], before[-1])


def test_the_encoder_sees_the_picture_and_what_the_canvas_lacks() -> None:
    network = _draw(steps=1)
    seen: list[Tensor] = []
    network.lstm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(1, 1, 8, 8)
    network(images * 2 - 1, torch.zeros(1, 4))
    where = filters(network.place(torch.zeros(1, 12)), (8, 8), 2)
    expected = torch.cat([where.read(images), where.read(images - 0.5)], 1).flatten(1)
    torch.testing.assert_close(seen[0][:, :8], expected)


def test_every_step_has_noise_of_its_own() -> None:
    network, images = _draw(), torch.rand(1, 1, 8, 8) * 2 - 1
    means = network(images, torch.zeros(1, 12)).posterior.mean
    noise = torch.zeros(1, 12)
    noise[:, 8:] = 5.0  # of the last step: too late for any posterior
    assert torch.equal(network(images, noise).posterior.mean, means)
    noise[:, 4:] = 5.0
    assert network(images, noise).posterior.mean[:, 8:].ne(means[:, 8:]).all()


def test_truncation_makes_the_noise_smaller() -> None:
    generator = _draw().decoder
    z = generator.prior(1, torch.Generator().manual_seed(0))
    assert torch.equal(next(generator.stream(z, 0.5)), generator(z / 2)[0])


def test_a_model_folder_gives_the_same_pictures(tmp_path_factory: pytest.TempPathFactory) -> None:
    generator = _draw(3, (4, 6)).decoder.eval()
    folder = tmp_path_factory.mktemp("model")
    save_generator(generator, folder, {})
    z = generator.prior(2, torch.Generator().manual_seed(0))
    assert torch.equal(load_generator(folder)(z)[0], generator(z)[0])


@pytest.mark.parametrize("bad", [{"write": 1}, {"steps": 0}, {"latent_size": 0}, {"hidden": 0}])
def test_bad_sizes(bad: dict[str, int]) -> None:
    with pytest.raises(
        ValueError, match="write must be at least 2, and steps, latent_size and hidden at least 1"
    ):
        DRAWGenerator(8, **bad)
    with pytest.raises(ValueError, match="read must be at least 2, not 1"):
        DRAW(_draw().decoder, 1)
