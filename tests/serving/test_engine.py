"""Which models are served, what is asked of them, and when work is done."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.architectures.progan import ProGANGenerator
from models.generator import Generator
from models.sampler import Sampler
from serving import engine
from serving.engine import Engine, Job, Model, load_models, model_folders
from serving.schemas import GenerateRequest, GrowRequest, RefusedError


class Recorder(Generator):
    """Grows grey squares of 4 to 1024 pixels, and records each stage when it computes it."""

    input_size = 2
    resolutions = (4, 8, 1024)
    image_channels = 1

    def __init__(self) -> None:
        super().__init__()
        self.computed: list[int] = []

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.randn(count, self.input_size, generator=rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        for side in self.resolutions:
            self.computed.append(side)
            yield (z * truncation)[:, :1, None, None].expand(-1, 1, side, side)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def small_engine(recorder: Recorder) -> Engine:
    return Engine({"squares": Model(Sampler(recorder), "recorder", None)}, threads=2)


def test_a_stage_is_computed_when_it_is_asked_for(small_engine: Engine, recorder: Recorder) -> None:
    growth = small_engine.grow(small_engine.resolve(GrowRequest(seed=1)))
    assert recorder.computed == []
    for done in (1, 2):
        next(growth)
        assert recorder.computed == [4, 8, 1024][:done]


def test_no_stage_is_computed_beyond_the_resolution(small_engine: Engine, recorder: Recorder) -> None:
    request = small_engine.resolve(GenerateRequest(seed=1, resolution=8))
    small_engine.generate([Job(request, 1)])
    assert recorder.computed == [4, 8]


def test_a_batch_keeps_its_order(small_engine: Engine) -> None:
    request = small_engine.resolve(GenerateRequest(seed=10, count=16, resolution=4))
    images = small_engine.generate([Job(request, seed) for seed in request.seeds])
    assert [image.job.seed for image in images] == list(range(10, 26))
    for image in images:
        alone = small_engine.generate([image.job])[0].pixels
        assert torch.equal(image.pixels, alone)


def test_pixels_are_bounded(small_engine: Engine, recorder: Recorder) -> None:
    assert len(small_engine.resolve(GenerateRequest(count=16)).seeds) == 16
    with pytest.raises(RefusedError, match="at resolution 1024 count must be at most 16"):
        small_engine.resolve(GenerateRequest(count=17))
    recorder.aspect = (4, 16)
    assert len(small_engine.resolve(GenerateRequest(count=4)).seeds) == 4
    with pytest.raises(RefusedError, match="at resolution 1024 count must be at most 4"):
        small_engine.resolve(GenerateRequest(count=5))


def test_a_resolved_request_has_the_label_of_each_image(small_engine: Engine) -> None:
    generator = ProGANGenerator(8, (8, 8), latent_size=4, class_names=("cat", "dog"))
    small_engine.models["both"] = Model(Sampler(generator), "progan", None)
    drawn = small_engine.resolve(GenerateRequest(model="both", seed=5, count=20))
    assert drawn.labels == tuple(small_engine.models["both"].sampler.label(seed) for seed in range(5, 25))
    assert {Job(drawn, seed).label for seed in drawn.seeds} == {"cat", "dog"}
    assert Job(drawn, 7).label == drawn.labels[2]
    assert (
        small_engine.resolve(GenerateRequest(model="both", seed=5, count=2, label="dog")).labels
        == ("dog",) * 2
    )
    assert small_engine.resolve(GrowRequest(seed=5)).labels == ()


def test_random_seeds_leave_room_for_the_count(small_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.secrets, "randbelow", lambda bound: bound - 1)
    assert small_engine.resolve(GenerateRequest(count=3, resolution=4)).seeds[-1] == 2**32 - 1


def test_folders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRESCENDO_MODELS", " a, b/c ,")
    assert model_folders() == [Path("a"), Path("b/c")]
    monkeypatch.setenv("CRESCENDO_MODELS", "")
    monkeypatch.setattr(engine, "PRETRAINED", tmp_path)
    with pytest.raises(ValueError, match=r"no model to serve.*CRESCENDO_MODELS=RUN_OR_MODEL bentoml serve"):
        model_folders()
    for name in ("b", "a", ".c.partial"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text("words")
    assert model_folders() == [tmp_path / "a", tmp_path / "b"]


def test_broken_models_are_named(model_folders: dict[str, Path], tmp_path: Path) -> None:
    whole = model_folders["tiny"]
    empty, cut, odd = (tmp_path / name for name in ("empty", "cut", "odd name"))
    for folder in (empty, cut, odd):
        folder.mkdir()
    for folder in (cut, odd):
        for file in whole.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    weights = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ValueError, match="empty is neither a model"):
        load_models([empty], "cpu")
    with pytest.raises(ValueError, match=r"cut/model.safetensors cannot be read .* export the model again"):
        load_models([cut], "cpu")
    with pytest.raises(ValueError, match=r"'odd name' has characters other than .* rename the folder"):
        load_models([odd], "cpu")
    with pytest.raises(ValueError, match="two models are named 'tiny'"):
        load_models([whole, whole], "cpu")
    (cut / "config.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match=r"cut/config.json has format 99"):
        load_models([cut], "cpu")
