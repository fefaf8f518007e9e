"""The build backend that pyproject.toml names: it refuses, since Crescendo is no library.

Its top-level packages (models, training, ...) would land in somebody's site-packages under these names.
"""

import sys
from typing import Any


def refuse(*_: Any, **__: Any) -> None:
    """End the build with what to do instead."""
    sys.exit(
        "Crescendo is an application that runs from its checkout and is not installed: run `make setup` there."
    )


build_wheel = build_sdist = build_editable = refuse
get_requires_for_build_wheel = get_requires_for_build_sdist = get_requires_for_build_editable = refuse
prepare_metadata_for_build_wheel = prepare_metadata_for_build_editable = refuse
