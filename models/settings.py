"""Networks that record their constructor's arguments, so that a file can hold what builds them again."""

import inspect
from typing import Any, Self

from torch import nn


class RecordsSettings(nn.Module):
    """A network whose `settings()` are the arguments that it was built with, defaults included.

    Arguments are JSON values or sequences of them. Where an argument may be None, to let the constructor choose, the
    constructor keeps its choice as an attribute of the same name.
    """

    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the arguments before the constructor runs. A copy takes over those of the original."""
        network = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(network, *args, **kwargs)
        bound.apply_defaults()
        _, *arguments = bound.arguments.items()  # the first is the network itself
        network.__dict__["_arguments"] = dict(arguments)
        return network

    def settings(self) -> dict[str, Any]:
        """The keyword arguments, as JSON values, that build this network again."""
        return {
            name: _as_json(getattr(self, name, None) if value is None else value)
            for name, value in self._arguments.items()
        }


def _as_json(value: Any) -> Any:
    return [_as_json(item) for item in value] if isinstance(value, list | tuple) else value
