"""Recipes by name: each a function that gives a frozen, typed dataclass."""

from collections.abc import Callable

from training.recipes import lapgan, modern, msg_gan, progan, sagan
from training.recipes.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    "lapgan": lapgan.lapgan,
    "lapgan-cpu": lapgan.lapgan_cpu,
    "modern": modern.modern,
    "modern-cpu": modern.modern_cpu,
    "msg-gan": msg_gan.msg_gan,
    "msg-gan-cpu": msg_gan.msg_gan_cpu,
    "progan": progan.progan,
    "progan-cpu": progan.progan_cpu,
    "sagan": sagan.sagan,
    "sagan-cpu": sagan.sagan_cpu,
}
