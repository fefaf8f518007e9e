"""Recipes by name: each a function that gives a frozen, typed dataclass."""

from collections.abc import Callable

from training.recipes import msg_gan, progan
from training.recipes.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    "msg-gan": msg_gan.msg_gan,
    "msg-gan-cpu": msg_gan.msg_gan_cpu,
    "progan": progan.progan,
    "progan-cpu": progan.progan_cpu,
}
