"""Where numbers are summed, they are in float32 at least."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Convert to float32 unless x is that or wider: images, logits and statistics are sums of many terms."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
