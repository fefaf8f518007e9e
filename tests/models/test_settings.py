"""Recorded constructor arguments, and the settings of models that older versions exported."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.architectures.dcgan import DCGANDiscriminator
from models.checkpoint import ARCHITECTURES, load_generator, read_config
from models.checkpoint_upgrade import from_format_1
from models.settings import RecordsSettings

NAMES = ["a", "b", "c"]
SHAPE = {"image_channels": 3, "frame": [4, 4]}
# Every architecture's settings as version 0.1 wrote them, and what has become of their sizes.
FORMAT_1: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "msg-gan": (
        {"resolution": 16, "widths": [8, 8, 4], "latent_size": 6, "attention": [8], **SHAPE, "frame": [4, 6]},
        {"latent_size": 6, "aspect": [4, 6]},
    ),
    "progan": (
        {
            **{
                "resolution": 16,
                "widths": [8, 8, 4],
                "latent_size": 9,
                "class_names": NAMES,
                "attention": [8],
            },
            **SHAPE,
        },
        {"latent_size": 6},
    ),
    "modern": (
        {
            **{"resolution": 16, "widths": [8, 8, 4], "blocks": 2, "latent_size": 9, "attention": [8]},
            **{"class_names": NAMES, "smallest": 8, **SHAPE},
        },
        {"latent_size": 6, "smallest": 8},
    ),
    "sagan": (
        {
            **{
                "resolution": 16,
                "widths": [8, 8, 4],
                "noise_size": 6,
                "class_names": NAMES,
                "attention": [8],
            },
            **SHAPE,
        },
        {"latent_size": 6},
    ),
    "lapgan": (
        {
            **{"resolution": 32, "base": 8, "widths": [8, 32, 32], "style": "lsun", "coarsest_noise": 7},
            **{"class_names": NAMES, "pyramid": "binomial5", **SHAPE},
        },
        {"latent_size": 7},
    ),
    "dcgan": (
        {"resolution": 16, "widths": [8, 4], "latent_size": 6, "norm": "batch", **SHAPE},
        {"latent_size": 6},
    ),
    "mlp": ({"resolution": 8, "hidden": 12, "latent_size": 5, **SHAPE}, {"latent_size": 5}),
    "began": ({"resolution": 16, "width": 4, "latent_size": 5, **SHAPE}, {"latent_size": 5}),
    "draw": (
        {"resolution": 8, "steps": 3, "step_size": 4, "hidden": 7, "write": 3, **SHAPE},
        {"latent_size": 4, "steps": 3},
    ),
    "gran": (
        {"resolution": 16, "widths": [8, 4], "steps": 3, "noise_size": 5, "shared_z": False, **SHAPE},
        {"latent_size": 5, "steps": 3},
    ),
    "ac-gan": (
        {"class_names": NAMES, "resolution": 16, "widths": [8, 4], "noise_size": 5, **SHAPE},
        {"latent_size": 5},
    ),
    "infogan": (
        {
            **{"resolution": 16, "widths": [8, 4], "hidden": 9, "noise_size": 5, "continuous": 2},
            **{"categorical": [3, 4], **SHAPE},
        },
        {"latent_size": 5},
    ),
    "stacked-gan": (
        {
            **{
                "class_names": NAMES,
                "resolution": 16,
                "widths": [8, 4],
                "features": 9,
                "noise_sizes": [4, 5],
            },
            **SHAPE,
        },
        {"latent_sizes": [4, 5]},
    ),
    "cgan": (
        {
            **{"class_names": NAMES, "resolution": 8, "noise_size": 5, "noise_units": 6, "label_units": 7},
            **{"joint_units": 8, **SHAPE},
        },
        {"latent_size": 5},
    ),
}
INPUT_SIZES = {
    **{
        "msg-gan": 6,
        "progan": 9,
        "modern": 9,
        "sagan": 9,
        "lapgan": 7 + 16 * 16 + 32 * 32 + 3,
        "dcgan": 6,
        "mlp": 5,
    },
    **{"began": 5, "draw": 12, "gran": 15, "ac-gan": 8, "infogan": 14, "stacked-gan": 12, "cgan": 8},
}


class _Network(RecordsSettings):
    def __init__(self, sizes: Sequence[int], depth: int | None = None, *, name: str = "x") -> None:
        super().__init__()
        self.depth = depth if depth is not None else len(sizes)
        self.layer = nn.Linear(sizes[0], sizes[1])


class _Child(_Network):
    def __init__(self, width: int) -> None:
        super().__init__((width, 2 * width))


def test_arguments_are_recorded_with_their_defaults() -> None:
    assert _Network((3, 4)).settings() == {"sizes": [3, 4], "depth": 2, "name": "x"}
    assert _Network([3, 4], name="y", depth=0).settings() == {"sizes": [3, 4], "depth": 0, "name": "y"}


def test_a_subclass_records_its_own_arguments() -> None:
    assert _Child(width=3).settings() == {"width": 3}


def test_copies_have_the_settings_of_the_original() -> None:
    original = _Network((3, 4), 7)
    copied = copy.deepcopy(original)
    assert copied.settings() == original.settings() == {"sizes": [3, 4], "depth": 7, "name": "x"}
    assert torch.equal(copied.layer.weight, original.layer.weight)
    assert list(original.state_dict()) == ["layer.weight", "layer.bias"]


def test_a_wrong_argument_is_named() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'frame'"):
        _Network((3, 4), frame=1)  # type: ignore[call-arg]


def test_a_discriminators_chosen_widths_are_recorded() -> None:
    assert DCGANDiscriminator(16).settings()["widths"] == [1024, 512]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_settings_of_format_1_build_the_same_generator(name: str) -> None:
    old, expected = FORMAT_1[name]
    settings = from_format_1(name, old)
    assert expected.items() <= settings.items()
    generator = ARCHITECTURES[name](**settings)
    assert generator.settings() == settings, "every argument was there, under its new name"
    assert generator.input_size == INPUT_SIZES[name]
    assert generator.prior(2, torch.Generator()).shape == (2, INPUT_SIZES[name])
    assert json.loads(json.dumps(generator.settings())) == generator.settings()


@pytest.mark.parametrize("name", ["progan", "lapgan", "cgan"])
def test_a_model_folder_of_format_1_loads(name: str, tmp_path: Path) -> None:
    old, _ = FORMAT_1[name]
    generator = ARCHITECTURES[name](**from_format_1(name, old)).eval()
    save_file(generator.state_dict(), tmp_path / "model.safetensors")
    config = {"format": 1, "architecture": name, "generator": old, "about": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = load_generator(tmp_path)
    z = generator.prior(2, torch.Generator().manual_seed(0))
    for one, other in zip(generator(z), loaded(z), strict=True):
        assert torch.equal(one, other)


def test_settings_of_format_1_may_lack_what_was_added_later() -> None:
    settings = {"resolution": 8, "widths": [4, 4], "latent_size": 6, "image_channels": 3}
    assert from_format_1("progan", settings) == settings


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"format": 3},
            r"config\.json has format 3, this version reads formats 1 to 2; export the model again",
        ),
        ([], "has format None"),
        (
            {"format": 2, "architecture": "vae"},
            "names an unknown architecture, 'vae'; known are ac-gan, began",
        ),
        ({"format": 1, "architecture": "progan"}, "is damaged: no settings of a generator"),
        ({"format": 1, "architecture": "progan", "generator": {}}, "is damaged: no settings of a generator"),
        ({"format": 1, "architecture": "dcgan", "generator": 5}, "is damaged: no settings of a generator"),
    ],
)
def test_bad_configurations(config: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        read_config(tmp_path)
