"""Recipes by name: the project's own, or a user's: `--recipe path/to/file.py:name` runs the file and calls `name`."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.recipes import RECIPES
from training.recipes.recipe import Recipe

COPY = "recipe.py"  # the file's copy in a run's folder


@dataclass(frozen=True)
class RecipeFile:
    """A user's file with a recipe in it."""

    path: Path
    function: str  # its name in the file
    sha256: str  # of the file's content

    def load(self) -> Callable[[], Recipe]:
        """Run the file and return the function.

        Raises:
            ValueError: the file has changed, fails, or has no such function.
        """
        if hashlib.sha256(self.path.read_bytes()).hexdigest() != self.sha256:
            raise ValueError(f"{self.path} has changed since the run began; put the original back to resume")
        spec = importlib.util.spec_from_file_location(f"user_recipe_{self.sha256[:12]}", self.path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where annotations are looked up
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise ValueError(f"recipe file {self.path} fails: {type(error).__name__}: {error}") from error
        function = getattr(module, self.function, None)
        if not callable(function):
            raise ValueError(f"recipe file {self.path} has no function {self.function}")

        def make() -> Recipe:
            recipe = function()
            if not isinstance(recipe, Recipe):
                raise ValueError(
                    f"{self.path}:{self.function} must return a Recipe, not {type(recipe).__name__}"
                )
            return recipe

        return make


def find_file(recipe: str) -> RecipeFile | None:
    """The file and function of `path/to/file.py:name`; None for the name of one of the project's recipes.

    Raises:
        ValueError: there is no such file.
    """
    if ".py:" not in recipe:
        return None
    path, _, function = recipe.rpartition(":")
    try:
        return RecipeFile(Path(path), function, hashlib.sha256(Path(path).read_bytes()).hexdigest())
    except OSError as error:
        raise ValueError(f"recipe file {path} cannot be read: {error.strerror}") from None


def make_recipe(name: str, file: RecipeFile | None = None) -> Recipe:
    """The recipe of a name, with its default settings; `file` is that of a user's own recipe.

    Raises:
        ValueError: there is none of that name, or the file's fails.
    """
    if file is not None:
        return file.load()()
    if name not in RECIPES:
        raise ValueError(
            f"there is no recipe {name}; choose from {', '.join(sorted(RECIPES))}, or name your own: "
            "path/to/file.py:name"
        )
    return RECIPES[name]()
