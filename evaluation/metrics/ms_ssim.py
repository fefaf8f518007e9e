"""Multi-scale structural similarity between images of a set: 1 if all are the same, lower the more they vary.

Wang et al., "Multiscale structural similarity for image quality assessment", 2003; among the samples of a GAN
as a measure of lost diversity: Odena et al. 2017 (arXiv 1610.09585) and Karras et al. 2018 (arXiv 1710.10196),
section 5.
"""

from torch import Tensor

from common.aspect import resolution_of

WINDOW = 11  # pixels, the side of the Gaussian window (sigma 1.5)
_WANG = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # exponents of the scales, finest first


def exponents(resolution: int) -> tuple[float, ...]:
    """Exponents of the scales that fit into images with this shorter side, finest first, with sum 1.

    The five of Wang et al. need 256 pixels. Smaller images use as many of them as keep the coarsest scale at 16
    pixels, divided by their sum: 128 has four, 64 three, 32 two, 16 one.
    """
    count = min(len(_WANG), resolution.bit_length() - WINDOW.bit_length())
    assert count > 0, "images smaller than the window"
    return tuple(weight / sum(_WANG[:count]) for weight in _WANG[:count])


def pair_similarities(images: Tensor) -> Tensor:
    """MS-SSIM of the first image with the second, the third with the fourth, and so on.

    Args:
        images: uint8 (2 N, C, H, W), with a resolution of at least 16.

    Returns:
        (N,) in [0, 1], on the CPU; averaged over channels.

    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    pairs = images.float()
    similarities: Tensor = multiscale_structural_similarity_index_measure(
        pairs[0::2],
        pairs[1::2],
        kernel_size=WINDOW,
        data_range=255.0,
        betas=exponents(resolution_of(images)),
        reduction="none",
    )
    return similarities.detach().cpu()
