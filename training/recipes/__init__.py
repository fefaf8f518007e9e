"""Recipes by name: each a function that gives a frozen, typed dataclass."""

from collections.abc import Callable

from training.recipes import dcgan, f_gan, gan, lapgan, modern, msg_gan, progan, sagan, wgan
from training.recipes.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    "dcgan": dcgan.dcgan,
    "dcgan-cpu": dcgan.dcgan_cpu,
    "f-gan": f_gan.f_gan,
    "f-gan-cpu": f_gan.f_gan_cpu,
    "gan": gan.gan,
    "lapgan": lapgan.lapgan,
    "lapgan-cpu": lapgan.lapgan_cpu,
    "lsgan": dcgan.lsgan,
    "lsgan-cpu": dcgan.lsgan_cpu,
    "modern": modern.modern,
    "modern-cpu": modern.modern_cpu,
    "msg-gan": msg_gan.msg_gan,
    "msg-gan-cpu": msg_gan.msg_gan_cpu,
    "progan": progan.progan,
    "progan-cpu": progan.progan_cpu,
    "sagan": sagan.sagan,
    "sagan-cpu": sagan.sagan_cpu,
    "selu-dcgan": dcgan.selu_dcgan,
    "selu-dcgan-cpu": dcgan.selu_dcgan_cpu,
    "selu-dcgan-equal": dcgan.selu_dcgan_equal,
    "wgan": wgan.wgan,
    "wgan-cpu": wgan.wgan_cpu,
    "wgan-gp": wgan.wgan_gp,
    "wgan-gp-cpu": wgan.wgan_gp_cpu,
}
