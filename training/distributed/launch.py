"""The accelerator of a run, and what of `accelerate config` it takes: devices, processes and machines.

What determines the result is the recipe's to say, as it is kept beside the run. A field of accelerate's that asks for
something else is refused by its name rather than passed over.
"""

import os
from collections.abc import Mapping

from accelerate import Accelerator
from accelerate.utils import DistributedType

from training.recipes.recipe import Recipe

_WAYS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
_OTHER_WAYS = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism_config",
}


def accelerator_for(recipe: Recipe) -> Accelerator:
    """The accelerator for a recipe.

    Raises:
        ValueError: accelerate's configuration asks for what the recipe does not, or the batch cannot be dealt out.
    """
    check_configuration(os.environ, recipe.compute.precision)
    accelerator = Accelerator(mixed_precision="bf16" if recipe.compute.precision == "bf16" else "no")
    if accelerator.distributed_type not in _WAYS:
        raise ValueError(
            f"distributed_type {accelerator.distributed_type.value} is not supported: choose CPUs or GPUs"
        )
    for phase in recipe.growth_schedule().phases:
        if phase.batch % accelerator.num_processes:
            raise ValueError(
                f"batch {phase.batch} (at {phase.resolution}x{phase.resolution}) does not divide among "
                f"{accelerator.num_processes} processes"
            )
    return accelerator


def check_configuration(environment: Mapping[str, str], precision: str) -> None:
    """See that what `accelerate launch` says in the environment is what the recipe does.

    Its mixed_precision "no" is also what it says when it was not asked, and leaves the precision to the recipe.

    Raises:
        ValueError: naming the field of `accelerate config`.
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
