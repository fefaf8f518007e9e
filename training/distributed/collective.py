"""What ranks do together. With one process every function here is the identity or the plain local thing."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.minibatch import (
    GroupStdDev,
    MinibatchDifference,
    MinibatchDiscrimination,
    MinibatchStdDev,
    PerSample,
)
from models.layers.normalization import (
    BatchNorm,
    RunningBatchNorm,
    local_moments,
    standardize,
    standardize_with,
)

_alone = False


def ranks() -> int:
    """Number of processes that train together."""
    return 1 if _alone or not (dist.is_available() and dist.is_initialized()) else dist.get_world_size()


@contextmanager
def alone() -> Iterator[None]:
    """Within the block this process computes for itself: no function here waits for another rank."""
    global _alone  # as the process group is: one per process
    _alone = True
    try:
        yield
    finally:
        _alone = False


class LostRankError(RuntimeError):
    """Another process of the run does not answer. The message says what to do."""


def _reduce(x: Tensor, operation: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> None:
    """Combine x over the ranks, in place."""
    try:
        dist.all_reduce(x, operation)
    except RuntimeError as error:
        raise LostRankError(
            "another process of the run has ended, or cannot be reached; its own output says why. "
            f"Go on from the newest checkpoint with --resume ({str(error).splitlines()[0]})"
        ) from error


class _Sum(torch.autograd.Function):
    """Sum over ranks. It is its own adjoint, so it can be differentiated any number of times."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone()
        _reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> Tensor:
        return cast(Tensor, _Sum.apply(grads[0].contiguous()))


def mean_over_ranks(x: Tensor) -> Tensor:
    """Mean of x over the ranks, differentiable: the gradient reaches every rank's x."""
    return x if ranks() == 1 else cast(Tensor, _Sum.apply(x.contiguous())) / ranks()


def global_batch_mean(x: Tensor) -> Tensor:
    """Mean over the global batch (dimension 0, kept), whose parts on the ranks are of one size. Differentiable."""
    return mean_over_ranks(x.mean(0, keepdim=True))


def _of_each_rank(x: Tensor) -> Tensor:
    """The ranks' x, which are of one shape, in the order of the ranks: (ranks, ...). Differentiable."""
    before = dist.get_rank()
    apart = F.pad(x[None], (0, 0) * x.dim() + (before, ranks() - 1 - before))  # zeros in place of the others'
    return cast(Tensor, _Sum.apply(apart.contiguous()))


def global_batch_moments(x: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and variance over the global batch, as `local_moments`, in one exchange. Differentiable.

    From each rank's own moments, so that nothing large is taken from anything large.
    """
    own = local_moments(x, dims)
    if ranks() == 1:
        return own
    means, variances = _of_each_rank(torch.stack(own)).unbind(1)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)


def over_global_batch(function: PerSample, x: Tensor) -> Tensor:
    """The function's values for this rank's samples x, computed on the global batch. Differentiable.

    The global batch is the ranks' parts, which are of one size, in the order of the ranks.
    """
    if ranks() == 1:
        return function(x)
    values = function(_of_each_rank(x).flatten(0, 1))
    return values.chunk(ranks())[dist.get_rank()]


def standardize_globally(x: Tensor) -> Tensor:
    """Batch norm's `standardize` over the global batch."""
    return standardize(x) if ranks() == 1 else standardize_with(x, global_batch_moments)


def use_global_batch(network: nn.Module) -> None:
    """Make the batch statistics of the network's layers those of the global batch."""
    for module in network.modules():
        if isinstance(module, MinibatchStdDev | RunningBatchNorm):
            module.moments = global_batch_moments
        elif isinstance(module, MinibatchDifference):
            module.batch_mean = global_batch_mean
        elif isinstance(module, GroupStdDev | MinibatchDiscrimination):
            module.over_batch = over_global_batch
        elif isinstance(module, BatchNorm):
            module.standardize = standardize_globally


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over ranks, in one flat reduce.

    A parameter without one (of a level that has not grown yet) is left out: which these are is a function of the clock,
    so the same on every rank.
    """
    if ranks() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    _reduce(flat)
    flat /= ranks()
    for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set on at least one rank."""
    if ranks() == 1:
        return flag
    value = torch.tensor(float(flag), device=device)
    _reduce(value)
    return bool(value.item())


def least(value: float, device: torch.device) -> float:
    """The least of the ranks' values."""
    if ranks() == 1:
        return value
    shared = torch.tensor(value, device=device, dtype=torch.float64)
    _reduce(shared, dist.ReduceOp.MIN)
    return shared.item()


def first(value: float, device: torch.device) -> float:
    """The first rank's value."""
    if ranks() == 1:
        return value
    shared = torch.tensor(value if dist.get_rank() == 0 else 0.0, device=device, dtype=torch.float64)
    _reduce(shared)
    return shared.item()
