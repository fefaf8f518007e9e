"""Options that recipes of a system share in tests: its usual objective and optimizer, without any penalty."""

from typing import Any

from training.recipes.options import AdamOptions, GrowthOptions, OptimizerOptions
from training.recipes.pair import PairOptions

_FIXED = OptimizerOptions(lr=(0.003,), betas=(0.0, 0.99))
MSG_GAN: dict[str, Any] = {"optimizer": _FIXED, "pair": PairOptions(objective="rp-gan")}
MODERN: dict[str, Any] = {**MSG_GAN, "growth": GrowthOptions(r1_power=3.0)}
PROGAN: dict[str, Any] = {
    "optimizer": _FIXED,
    "pair": PairOptions(objective="rp-gan", classify=1.0),
    "growth": GrowthOptions(grow_from=4, hold=1.0),
}
SAGAN: dict[str, Any] = {
    "optimizer": OptimizerOptions(lr=(0.0001,), ttur_ratio=4.0, betas=(0.0, 0.9)),
    "pair": PairOptions(objective="hinge"),
}
AC_GAN: dict[str, Any] = {"pair": PairOptions(classify=1.0)}
INFOGAN: dict[str, Any] = {"optimizer": OptimizerOptions(lr=(0.001,), ttur_ratio=0.2)}
BEGAN: dict[str, Any] = {"optimizer": OptimizerOptions(lr=(0.0001, 0.00002), lr_halve_every=1600)}
GRAN: dict[str, Any] = {
    "optimizer": OptimizerOptions(lr=(0.0001,), ttur_ratio=0.4, betas=(0.0, 0.999), weight_decay_d=0.000005)
}
VAE: dict[str, Any] = {"optimizer": AdamOptions(lr=(0.0005,))}
DRAW: dict[str, Any] = {"optimizer": AdamOptions(betas=(0.5, 0.999), clip_grad_norm=5.0)}
