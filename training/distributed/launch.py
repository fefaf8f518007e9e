"""The accelerator of a run. Of `accelerate config` it takes devices, processes and machines.

What determines the result is set by the recipe, which is saved with the run. A field of accelerate's that contradicts
it is refused by name, not ignored.
"""

import os
from collections.abc import Mapping

from accelerate import Accelerator
from accelerate.utils import DistributedType

from training.growth import Growth

_WAYS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
_OTHER_WAYS = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism_config",
}


def accelerator_for(precision: str, growth: Growth) -> Accelerator:
    """The accelerator for a recipe's precision and growth.

    Raises:
        ValueError: accelerate's configuration contradicts the recipe, or a batch does not divide among the processes.
    """
    check_configuration(os.environ, precision)
    accelerator = Accelerator(mixed_precision="bf16" if precision == "bf16" else "no")
    if accelerator.distributed_type not in _WAYS:
        raise ValueError(
            f"distributed_type {accelerator.distributed_type.value} is not supported: choose CPUs or GPUs"
        )
    for phase in growth.phases:
        if phase.batch % accelerator.num_processes:
            raise ValueError(
                f"batch {phase.batch} (at {phase.resolution}x{phase.resolution}) does not divide among "
                f"{accelerator.num_processes} processes"
            )
    return accelerator


def check_configuration(environment: Mapping[str, str], precision: str) -> None:
    """Check that the environment set by `accelerate launch` does not contradict the recipe.

    Its mixed_precision "no" is also the default, and leaves the precision to the recipe.

    Raises:
        ValueError: a field of `accelerate config` does; the message names it.
    """
    mixed = environment.get("ACCELERATE_MIXED_PRECISION", "no")
    if mixed not in ("no", precision):
        raise ValueError(
            f"accelerate's mixed_precision is {mixed}, the recipe's precision {precision}: "
            + (
                "train with --precision bf16"
                if mixed == "bf16"
                else "give accelerate mixed_precision no or bf16"
            )
        )
    if environment.get("ACCELERATE_DYNAMO_BACKEND", "NO").upper() != "NO":
        raise ValueError(
            "accelerate's dynamo_backend must be no: compiled networks cannot be differentiated twice, "
            "as gradient penalties need"
        )
    if environment.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1") != "1":
        raise ValueError(
            "accelerate's gradient_accumulation_steps must be 1: the recipe's batch is that of a step; "
            "train with --micro-batch to compute it in pieces"
        )
    for name, way in _OTHER_WAYS.items():
        if environment.get(name, "false").lower() == "true":
            raise ValueError(f"accelerate is set to use {way}, which is not supported: choose CPUs or GPUs")
