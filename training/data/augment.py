"""Augmentation that the discriminator sees, and that the generator is trained through.

"Differentiable Augmentation for Data-Efficient GAN Training" (DiffAugment: Zhao et al. 2020, arXiv 2006.10738): in both
sides' moves reals and fakes are transformed before they are judged. Translation, colour and cutout are theirs, with
their ranges. "Training Generative Adversarial Networks with Limited Data" (ADA: Karras et al. 2020, arXiv 2006.06676)
applies each operation with probability p, and finds p by watching for overfitting. Its flip is here too.

Deviations:
- Both moves of a round see a sample under one transformation; the authors' codes draw anew for the generator's move.
- The pictures of one sample at several resolutions are transformed alike. Translation and cutout are in pixels of the
  finest; the coarser ones do what averaging would make of that, so they take up fractions of their pixels.
- ADA has the operations here to choose from, not its rotations, scalings, filters and noise; p stays within [0, 1].

Gradient penalties differentiate twice through all of this. Kornia 0.9's counterparts can be differentiated twice and
take given parameters too, but these come from torch's global generator, in pixels of one size of picture; colours are
clamped to [0, 1], where the gradient ends; and the samples that p has chosen are picked out of the batch, whose size
then depends on the draw.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.aspect import resolution_of
from models.layers.precision import at_least_float32
from training.data.instance_noise import noisy
from training.distributed.collective import mean_over_ranks
from training.rng import KeyedRNG
from training.schedules import Schedule, TrainState, zero

Apply = Callable[[Tensor, Tensor, int], Tensor]


def flip(pictures: Tensor, uniforms: Tensor, _side: int) -> Tensor:
    """Mirrored left to right where the number (N, 1) is below 1/2."""
    return torch.where(uniforms.view(-1, 1, 1, 1) < 0.5, pictures.flip(3), pictures)


def color(pictures: Tensor, uniforms: Tensor, _side: int) -> Tensor:
    """Brightness + U(-0.5, 0.5), saturation x U(0, 2), contrast x U(0.5, 1.5), by numbers (N, 3). Alpha is kept."""
    brightness, saturation, contrast = uniforms.view(-1, 3, 1, 1, 1).unbind(1)
    colors, alpha = pictures[:, :3], pictures[:, 3:]
    colors = colors + (brightness - 0.5)
    grey = colors.mean(1, keepdim=True)
    colors = grey + (colors - grey) * (saturation * 2)
    mean = colors.mean((1, 2, 3), keepdim=True)
    colors = mean + (colors - mean) * (contrast + 0.5)
    return torch.cat([colors, alpha], dim=1)


def translation(pictures: Tensor, uniforms: Tensor, side: int) -> Tensor:
    """Moved down and right by up to 1/8 of height and width, whole pixels of the finest picture; zeros move in.

    A coarse picture moves by the fraction of a pixel that this is: as if drawn large, moved, and averaged.
    """
    scale = side // resolution_of(pictures)
    for dimension, uniform in enumerate(uniforms.unbind(1), start=2):
        reach = scale * pictures.shape[dimension] // 8
        shift = (uniform * (2 * reach + 1)).long() - reach  # (N), pixels of the finest
        whole, rest = shift.div(scale, rounding_mode="floor"), shift.remainder(scale)
        near = _moved(pictures, whole, dimension)
        if scale > 1:
            far = _moved(pictures, whole + 1, dimension)
            near = near + (far - near) * (rest / scale).to(near).view(-1, 1, 1, 1)
        pictures = near
    return pictures


def _moved(pictures: Tensor, by: Tensor, dimension: int) -> Tensor:
    """Each picture moved by its number of pixels (N,) along rows (2) or columns (3)."""
    size = pictures.shape[dimension]
    source = torch.arange(size, device=by.device) - by.view(-1, 1)  # (N, size)
    shape = (-1, 1, size, 1) if dimension == 2 else (-1, 1, 1, size)
    inside = ((source >= 0) & (source < size)).view(shape)
    index = source.clamp(0, size - 1).view(shape).expand_as(pictures)
    return pictures.gather(dimension, index) * inside


def cutout(pictures: Tensor, uniforms: Tensor, side: int) -> Tensor:
    """Zero in half of height and width around a point anywhere, on a corner between pixels of the finest picture.

    A coarse picture is darkened by the part of each pixel that is covered.
    """
    scale = side // resolution_of(pictures)
    rows, columns = (
        _covered(uniform, size, scale)
        for uniform, size in zip(uniforms.unbind(1), pictures.shape[2:], strict=True)
    )
    kept = 1 - rows[:, None, :, None] * columns[:, None, None, :]
    return pictures * kept.to(pictures)


def _covered(uniform: Tensor, size: int, scale: int) -> Tensor:
    """The part of each of `size` pixels in a row that half a row covers: (N,) -> (N, size)."""
    center = (uniform * (scale * size + 1)).floor()[:, None] / scale  # in pixels of this picture
    near_edge = torch.arange(size, device=uniform.device)
    top, bottom = center - size / 4, center + size / 4
    return (torch.minimum(bottom, near_edge + 1) - torch.maximum(top, near_edge)).clamp(0, 1)


@dataclass(frozen=True)
class Operation:
    """One kind of change."""

    apply: Apply  # of pictures (N, C, H, W), numbers (N, k), the finest's resolution: (N, C, H, W)
    numbers: int  # k, numbers from U(0, 1) that say what is done to a sample


OPERATIONS: dict[str, Operation] = {  # in the order in which they are applied
    "flip": Operation(flip, 1),
    "color": Operation(color, 3),
    "translation": Operation(translation, 2),
    "cutout": Operation(cutout, 2),
}


class Scheduled(nn.Module):
    """The probability p as a function of the clock alone."""

    def __init__(
        self,
        schedule: Schedule,  # p, in [0, 1]
    ) -> None:
        super().__init__()
        self.schedule = schedule

    def forward(self, train_state: TrainState) -> float:
        """The probability."""
        return self.schedule(train_state)

    def report(self, real: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """What is to be logged besides p, given D's logits of reals."""
        return {}

    def learn(self, report: Mapping[str, Tensor], batch: int) -> None:
        """Take note of a step: nothing to do."""


class Adaptive(nn.Module):
    """ADA: p rises while D is surer of the reals than it should be, and falls while it is less sure (section 3.1).

    For objectives under which the sign of a logit says real or fake. The buffers, which are saved with the run, are the
    same on every rank.
    """

    INTERVAL = 4  # steps between two corrections of p

    def __init__(
        self,
        target: float,  # mean sign of the reals' logits that p is to keep, in (0, 1)
        images: float,  # real images in which p can go from 0 to 1
    ) -> None:
        super().__init__()
        self.target, self.images = target, images
        self.p: Tensor
        self.sign: Tensor  # sum of the steps' mean signs since the last correction
        self.steps: Tensor  # number of steps since then
        for name in ("p", "sign", "steps"):
            self.register_buffer(name, torch.zeros(()))

    def forward(self, _clock: TrainState) -> Tensor:
        """The probability, a scalar."""
        return self.p

    def report(self, real: Tensor) -> dict[str, Tensor]:
        """The mean sign of the reals' logits (N,), to be logged and learned from."""
        return {"augment/sign": real.detach().sign().mean()}

    @torch.no_grad()
    def learn(self, report: Mapping[str, Tensor], batch: int) -> None:
        """Take note of a step's report, on `batch` real images over all ranks. Every fourth corrects p."""
        self.sign += mean_over_ranks(report["augment/sign"])
        self.steps += 1
        due = (self.steps == self.INTERVAL).float()  # not a branch: a GPU would have to wait for it
        direction = (self.sign / self.INTERVAL - self.target).sign()
        self.p.add_(due * direction * (batch * self.INTERVAL / self.images)).clamp_(0, 1)
        self.sign *= 1 - due
        self.steps *= 1 - due


class Augmentation(nn.Module):
    """Some of the operations, each applied to a sample with probability p, and noise on every sample."""

    def __init__(
        self,
        operations: Collection[str],  # which; their order does not matter
        probability: Scheduled | Adaptive,  # p
        noise: Schedule = zero,  # standard deviation of instance noise
    ) -> None:
        super().__init__()
        self.operations, self.probability, self.noise = operations, probability, noise

    def forward(
        self, pictures: Sequence[Tensor], rng: KeyedRNG, of: str, train_state: TrainState
    ) -> list[Tensor]:
        """The pictures of a batch as they are judged: [(N, C, H, W), ...], coarse to fine, of the same shapes.

        `of` names what they are pictures of, for draws of its own. Computed in float32 or wider.
        """
        deviation = self.noise(train_state)
        if not self.operations and deviation == 0:
            return list(pictures)
        side, p = resolution_of(pictures[-1]), self.probability(train_state)
        pictures = [at_least_float32(picture) for picture in pictures]
        for name, operation in OPERATIONS.items():
            if name in self.operations:
                uniforms = rng.uniform(f"augment/{of}/{name}", 1 + operation.numbers)
                chosen = (uniforms[:, 0] < p).view(-1, 1, 1, 1)
                changed = [operation.apply(picture, uniforms[:, 1:], side) for picture in pictures]
                pictures = [torch.where(chosen, new, old) for new, old in zip(changed, pictures, strict=True)]
        return noisy(pictures, deviation, rng, of) if deviation > 0 else list(pictures)

    def report(self, real: Tensor, train_state: TrainState) -> dict[str, Tensor]:
        """What is to be logged, given D's logits of the reals (N,)."""
        if not self.operations:
            return {}
        p = torch.as_tensor(self.probability(train_state), device=real.device).clone()
        return {"augment/p": p, **self.probability.report(real)}


def unchanged() -> Augmentation:
    """No augmentation."""
    return Augmentation((), Scheduled(lambda _: 0.0))
