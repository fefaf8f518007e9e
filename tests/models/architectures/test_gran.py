"""GRAN's generator: sizes, steps, and batch norm whose statistics belong to a step."""

import pytest
import torch
from torch import Tensor, nn

from models.architectures.gran import GRANGenerator, StepNorm
from models.checkpoint import load_generator, save_generator


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _generator(
    steps: int = 3, shared: bool = False, channels: int = 3, aspect: tuple[int, int] = (4, 4)
) -> GRANGenerator:
    torch.manual_seed(0)
    return GRANGenerator(16, (8, 6), steps, 5, shared, channels, aspect)


def _prior(generator: GRANGenerator, count: int = 6) -> Tensor:
    return generator.prior(count, torch.Generator().manual_seed(0))


def test_the_codes_size_by_hand() -> None:
    up = 25 * (1024 * 512 + 512 * 256 + 256 * 3)
    decoder = 100 * 100 + 200 + 200 * 16_384 + 2 * 16_384 + up + 2 * (512 + 256) + 3
    encoder = up + 2 * (256 + 512 + 1024) + 16_384 * 100 + 200
    assert _count(GRANGenerator(32)) == decoder + encoder == 37_769_891


def test_steps_share_all_parameters() -> None:
    assert _count(_generator(steps=2)) == _count(_generator(steps=5))


@pytest.mark.parametrize(("channels", "aspect"), [(1, (4, 4)), (3, (4, 6)), (4, (7, 4))])
def test_pictures_of_any_channels_and_proportions(channels: int, aspect: tuple[int, int]) -> None:
    generator = _generator(channels=channels, aspect=aspect)
    assert [p.shape for p in generator(_prior(generator))] == [(6, channels, 4 * aspect[0], 4 * aspect[1])]


def test_the_canvas_is_the_sum_of_linear_increments() -> None:
    generator = _generator()
    painted: list[Tensor] = []
    generator.to_canvas.register_forward_hook(lambda _, __, out: painted.append(out))
    canvases = list(generator.canvases(_prior(generator)))
    assert len(painted) == len(canvases) == 3
    for step, canvas in enumerate(canvases):
        total = sum(painted[: step + 1], torch.zeros(()))
        torch.testing.assert_close(canvas, torch.sigmoid(total) * 2 - 1)
    assert torch.equal(generator(_prior(generator))[0], canvases[-1])


def test_the_encoder_watches_the_increment_not_the_canvas() -> None:
    generator = _generator()
    painted: list[Tensor] = []
    watched: list[Tensor] = []
    generator.to_canvas.register_forward_hook(lambda _, __, out: painted.append(out))
    generator.watch[0].register_forward_pre_hook(lambda _, inputs: watched.append(inputs[0]))
    generator(_prior(generator))
    assert len(watched) == 2
    for seen, increment in zip(watched, painted[:2], strict=True):
        assert torch.equal(seen, increment)


def test_every_step_has_noise_of_its_own_unless_it_is_shared() -> None:
    generator, shared = _generator(), _generator(shared=True)
    assert (generator.input_size, shared.input_size) == (15, 5)
    z = _prior(generator, 4)
    other = z.clone()
    other[:, 5:10] = other[:, 5:10].flip(0)  # of the second step
    same = [torch.equal(a, b) for a, b in zip(generator.canvases(z), generator.canvases(other), strict=True)]
    assert same == [True, False, False]
    torch.testing.assert_close(shared(z[:, :5])[0], generator(z[:, :5].repeat(1, 3))[0])


def test_what_was_painted_matters_to_the_next_increment() -> None:
    generator = _generator()
    increments: list[Tensor] = []
    generator.to_canvas.register_forward_hook(lambda _, __, out: increments.append(out))
    z = _prior(generator)
    other = torch.cat([z[:, :5].flip(0), z[:, 5:]], 1)
    generator(z)
    generator(other)
    assert not torch.equal(increments[1], increments[4])


def test_every_parameter_receives_a_gradient() -> None:
    generator = _generator(steps=2)
    generator(_prior(generator))[0].square().sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.ne(0).any(), name


def test_in_training_the_norm_is_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs, x = StepNorm(4, 2), nn.BatchNorm2d(4), torch.randn(5, 4, 3, 3)
    with torch.no_grad():
        for norm, weight, bias in ((ours, ours.scale, ours.shift), (theirs, theirs.weight, theirs.bias)):
            norm.train()
            weight.copy_(torch.arange(1.0, 5).view_as(weight))
            bias.copy_(torch.arange(4.0).view_as(bias))
    torch.testing.assert_close(ours(x, 1), theirs(x))
    torch.testing.assert_close(ours(x[..., 0, 0], 1), theirs(x[..., :1, :1])[..., 0, 0])


def test_measured_statistics_give_the_pictures_of_training() -> None:
    generator = _generator()
    z = generator.prior(256, torch.Generator().manual_seed(0))  # the draws that are measured
    expected = generator.train()(z)[0]
    generator.eval()
    assert not torch.allclose(generator(z)[0], expected, atol=1e-2)
    generator.refresh_statistics()
    torch.testing.assert_close(generator(z)[0], expected, rtol=1e-3, atol=1e-4)
    means = generator.noise.norm.mean
    assert means.shape == (3, 5)
    assert not torch.equal(means[0], means[1])


def test_truncation_makes_the_noise_smaller() -> None:
    generator = _generator().eval()
    z = _prior(generator)
    assert torch.equal(next(generator.stream(z, 0.5)), generator(z / 2)[0])


def test_a_model_folder_gives_the_same_pictures(tmp_path_factory: pytest.TempPathFactory) -> None:
    generator = _generator(shared=True, aspect=(4, 6)).eval()
    generator.refresh_statistics()
    folder = tmp_path_factory.mktemp("model")
    save_generator(generator, folder, {})
    z = _prior(generator)
    assert torch.equal(load_generator(folder)(z)[0], generator(z)[0])


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match="steps must be at least 2, not 1; for one step, train dcgan"):
        _generator(steps=1)
    with pytest.raises(ValueError, match="widths must be 1 to 2 numbers from 1 to 4096"):
        GRANGenerator(16, (8, 8, 8))
