"""Discriminators whose features are of use by themselves: how a checkpoint says what they are, and how they are read.

A checkpoint's `discriminator.json` names class and constructor arguments, and where in `state.safetensors` the weights
are, which are not kept twice.
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from common.atomic import write_text
from models.architectures.dcgan import DCGANDiscriminator
from models.discriminator import FeatureDiscriminator
from models.layers.minibatch import BatchAware
from models.layers.normalization import normalize_spectrally, spectral_norms

FILE = "discriminator.json"
DISCRIMINATORS: dict[str, type[FeatureDiscriminator]] = {"dcgan": DCGANDiscriminator}


def describe_discriminator(network: nn.Module, prefix: str, folder: Path) -> None:
    """Write of a player's network what it is, if it is one of `JUDGES`; `prefix` begins its weights' names."""
    if isinstance(network, BatchAware):
        network, prefix = network.judge, f"{prefix}judge."
    for name, kind in DISCRIMINATORS.items():
        if type(network) is kind:
            described = {
                "architecture": name,
                "discriminator": network.settings(),
                "spectral": bool(spectral_norms(network)),
                "prefix": prefix,
            }
            write_text(folder / FILE, json.dumps(described, indent=2) + "\n")


def load_discriminator(run: Path) -> tuple[FeatureDiscriminator, Path]:
    """The discriminator of a run's newest checkpoint, on the CPU, in evaluation mode, and the checkpoint's folder.

    Batch norm's statistics are those of the last features that `measure_statistics` saw, so they are still to measure.

    Raises:
        ValueError: no checkpoint, one of another kind of discriminator, or a damaged one.
    """
    found = sorted(run.glob("checkpoints/[0-9]*"))
    if not found:
        raise ValueError(f"{run} is not a training run with a checkpoint")
    path = found[-1] / FILE
    if not path.is_file():
        raise ValueError(
            f"{found[-1]} has no {FILE}: it is of before there was one (train a little on), or its discriminator is "
            f"not one of {', '.join(DISCRIMINATORS)}, whose features can be read"
        )
    try:
        described: dict[str, Any] = json.loads(path.read_text())
        network = DISCRIMINATORS[described["architecture"]](**described["discriminator"])
        if described["spectral"]:
            normalize_spectrally(network)
        with safe_open(found[-1] / "state.safetensors", "pt") as file:
            keys = [key for key in file.keys() if key.startswith(described["prefix"])]  # noqa: SIM118 - no mapping
            weights = {key.removeprefix(described["prefix"]): file.get_tensor(key) for key in keys}
        network.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{found[-1]} cannot be read ({error}); remove it to use the one before") from None
    return network.eval().requires_grad_(False), found[-1]
