"""Least squares GAN (Mao et al. 2017, arXiv 1611.04076, equation 2): fakes are to logits a, reals b; G wants c.

With b - c = 1 and b - a = 2 the generator descends the Pearson chi-squared divergence of 2 p_G from p_data + p_G
(section 3.2.1); (a, b, c) = (-1, 1, 0) is such. (0, 1, 1) has the fakes go where the reals are (section 3.2.2).
"""

from torch import Tensor


def least_squares_d(real: Tensor, fake: Tensor, a: float, b: float) -> Tensor:
    """Half the mean squares of real - b and fake - a."""
    return ((real - b).square().mean() + (fake - a).square().mean()) / 2


def least_squares_g(real: Tensor, fake: Tensor, c: float) -> Tensor:  # noqa: ARG001 - every objective takes both logits
    """Half the mean square of fake - c."""
    return (fake - c).square().mean() / 2
