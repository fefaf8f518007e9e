"""Discriminators in checkpoints, stored so that their features can be read later.

A checkpoint's `discriminator.json` holds architecture and constructor arguments, and the prefix of the weights' names
in `state.safetensors`.
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from common.atomic import write_text
from models.architectures.dcgan import DCGANDiscriminator
from models.discriminator import FeatureDiscriminator
from models.layers.minibatch import MinibatchDiscriminator
from models.layers.normalization import apply_spectral_norm, spectral_norms

FILE = "discriminator.json"
FORMAT = 2  # version of the file; files without one are of version 1
DISCRIMINATORS: dict[str, type[FeatureDiscriminator]] = {"dcgan": DCGANDiscriminator}


def describe_discriminator(network: nn.Module, prefix: str, folder: Path) -> None:
    """Write `discriminator.json` if an updater's network is one of `DISCRIMINATORS`.

    Args:
        network: the updater's network.
        prefix: of the names of its weights.
        folder: the checkpoint's folder.
    """
    if isinstance(network, MinibatchDiscriminator):
        network, prefix = network.discriminator, f"{prefix}discriminator."
    for name, kind in DISCRIMINATORS.items():
        if type(network) is kind:
            description = {
                "format": FORMAT,
                "architecture": name,
                "discriminator": network.settings(),
                "spectral": bool(spectral_norms(network)),
                "prefix": prefix,
            }
            write_text(folder / FILE, json.dumps(description, indent=2) + "\n")


def load_discriminator(run: Path) -> tuple[FeatureDiscriminator, Path]:
    """The discriminator of a run's newest checkpoint, on the CPU, in evaluation mode, and the checkpoint's folder.

    Batch norm's statistics are those that `measure_statistics` measured last; measure them again before use.

    Raises:
        ValueError: no checkpoint, another kind of discriminator, an older format, or a damaged file.
    """
    found = sorted(run.glob("checkpoints/[0-9]*"))
    if not found:
        raise ValueError(f"{run} is not a training run with a checkpoint")
    path = found[-1] / FILE
    if not path.is_file():
        raise ValueError(
            f"{found[-1]} has no {FILE}: features can only be read from discriminators of these architectures: "
            f"{', '.join(DISCRIMINATORS)}"
        )
    try:
        description: dict[str, Any] = json.loads(path.read_text())
        version = description.get("format", 1)
        if version == FORMAT:
            return _load(description, found[-1] / "state.safetensors"), found[-1]
    except (OSError, SafetensorError, KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{found[-1]} cannot be read ({error}); remove it to use the checkpoint before it"
        ) from None
    raise ValueError(
        f"{path} has format {version!r}, this version reads format {FORMAT}: train the run again"
    )


def _load(description: dict[str, Any], state: Path) -> FeatureDiscriminator:
    network = DISCRIMINATORS[description["architecture"]](**description["discriminator"])
    if description["spectral"]:
        apply_spectral_norm(network)
    prefix = description["prefix"]
    with safe_open(state, "pt") as file:
        keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118 - not a mapping
        weights = {key.removeprefix(prefix): file.get_tensor(key) for key in keys}
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)
