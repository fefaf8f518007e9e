"""The settings of models that older versions exported, converted to those of this version.

Format 1 (version 0.1): `aspect` was called `frame`; the length of z had several names; the `latent_size` of growing
generators included the label's entries. The names of weights are the same.
"""

from typing import Any

_RENAMED = {
    "frame": "aspect",
    "noise_size": "latent_size",
    "noise_sizes": "latent_sizes",
    "step_size": "latent_size",
    "coarsest_noise": "latent_size",
}
_COUNTED_LABELS = {"progan", "modern"}  # architectures whose latent_size included the label's entries


def from_format_1(architecture: str, settings: dict[str, Any]) -> dict[str, Any]:
    """A generator's constructor arguments, given those that a `config.json` of format 1 holds."""
    upgraded = {_RENAMED.get(name, name): value for name, value in settings.items()}
    if architecture in _COUNTED_LABELS:
        upgraded["latent_size"] -= len(upgraded.get("class_names", ()))
    return upgraded
