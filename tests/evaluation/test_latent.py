"""`python -m evaluation.latent`: latent arithmetic, and a direction that is found and suppressed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from evaluation.latent import Suppress, arithmetic, find_direction, generate, latents, main, run
from models.architectures.dcgan import DCGANGenerator, init_weights
from models.architectures.progan import ProGANGenerator
from models.checkpoint import save_generator
from models.generator import Generator


class Lamp(Generator):
    """Its images are as bright as the first number of the latent vector, and as red as the second."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size, self.image_channels, self.resolutions = 6, 3, (4,)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.randn(count, 6, generator=rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        light = z[:, 0] * 0.3
        yield torch.stack([light + z[:, 1] * 0.01, light, light], 1)[..., None, None].expand(-1, 3, 4, 4)

    def settings(self) -> dict[str, Any]:
        return {}


def test_arithmetic_uses_means_and_depends_on_the_order() -> None:
    groups = [[1, 2, 3], [4, 5], [6]]
    result, rows = arithmetic(Lamp(), groups, 0.25)
    a, b, c = (latents(Lamp(), group).mean(0) for group in groups)
    torch.testing.assert_close(result[0], a - b + c)
    assert [len(row) for row in rows] == [4, 3, 2, 9]
    assert torch.equal(rows[0][:3], generate(Lamp(), latents(Lamp(), [1, 2, 3])))
    assert torch.equal(rows[0][3:], generate(Lamp(), a[None]))
    assert torch.equal(rows[3][:1], generate(Lamp(), result))
    assert len(rows[3].flatten(1).unique(dim=0)) > 4
    assert not torch.allclose(arithmetic(Lamp(), groups[::-1], 0.25)[0] - result, 2 * (a - c)[None])
    assert not torch.allclose(arithmetic(Lamp(), [groups[1], groups[0], groups[2]], 0.25)[0], result)


def test_the_direction_of_light_is_found_and_suppressed() -> None:
    z = latents(Lamp(), list(range(300)))
    found = find_direction(z, z[:, 0] < 0)
    cosine = found.weight[0] / found.weight.norm()
    assert cosine < -0.98
    assert found.accuracy > 0.9
    lighter, darker = found.move(z, found.logit_without), found.move(z, found.logit_with)
    assert found.logit_without < 0 < found.logit_with
    torch.testing.assert_close(
        lighter @ found.weight + found.bias, torch.full((300,), found.logit_without), atol=1e-3, rtol=1e-4
    )
    light = [generate(Lamp(), each).float().mean((1, 2, 3)) for each in (lighter, darker)]
    assert light[0].min() > 127 > light[1].max()
    torch.testing.assert_close((lighter - z)[:, 1:].norm(), torch.tensor(0.0), atol=4.0, rtol=0.0)


def test_random_marks_have_no_direction() -> None:
    z = latents(Lamp(), list(range(300)))
    by_chance = torch.rand(300, generator=torch.Generator().manual_seed(1)) < 0.5
    assert 0.3 < find_direction(z, by_chance).accuracy < 0.7
    with pytest.raises(ValueError, match="at least four"):
        find_direction(z, torch.arange(300) < 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    generator = DCGANGenerator(8, (4,), 6, norm="none")
    init_weights(generator, deviation=None)
    save_generator(generator, folder, {})
    return folder


def test_the_commands(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "marked.txt").write_text("0-9,15\n")
    commands = {
        ("arithmetic", "--a", "0-2", "--b", "3-5", "--c", "6-8"): (9 * 8, 4 * 8),
        ("suppress", "--marked", "darker", "--seeds", "0-39"): (8 * 8, 3 * 8),
        ("suppress", "--marked", str(tmp_path / "marked.txt"), "--seeds", "0-39"): (8 * 8, 3 * 8),
    }
    for (name, *arguments), size in commands.items():
        out = tmp_path / "out.png"
        monkeypatch.setattr("sys.argv", ["latent", name, str(model), *arguments, "--out", str(out)])
        assert main() == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"written to {out}"
        image = Image.open(out)
        assert image.size == size
        assert len(np.unique(np.asarray(image))) > 5
        out.unlink()


def test_bad_arguments(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "marked.txt").write_text("77")
    with pytest.raises(ValueError, match="not among --seeds"):
        run(Suppress(model, tmp_path / "marked.txt", tmp_path / "out.png", "0-39"))
    with pytest.raises(ValueError, match=r"ends in \.png"):
        run(Suppress(model, "darker", tmp_path / "out.jpg"))
    (tmp_path / "labelled").mkdir()
    save_generator(ProGANGenerator(8, (8, 8), 8, class_names=("a", "b")), tmp_path / "labelled", {})
    arguments = [
        "suppress",
        str(tmp_path / "labelled"),
        "--marked",
        "darker",
        "--out",
        str(tmp_path / "out.png"),
    ]
    monkeypatch.setattr("sys.argv", ["latent", *arguments])
    assert main() == 2
    assert "needs class labels" in capsys.readouterr().err
