"""What `accelerate config` asks for is done, or refused by the name of its field."""

import pytest

from training.distributed.launch import check_configuration

REFUSED = {
    "mixed_precision is fp16": ({"ACCELERATE_MIXED_PRECISION": "fp16"}, "bf16"),
    "train with --precision bf16": ({"ACCELERATE_MIXED_PRECISION": "bf16"}, "fp32"),
    "dynamo_backend": ({"ACCELERATE_DYNAMO_BACKEND": "INDUCTOR"}, "fp32"),
    "train with --micro-batch": ({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}, "fp32"),
    "DeepSpeed": ({"ACCELERATE_USE_DEEPSPEED": "true"}, "fp32"),
    "FSDP": ({"ACCELERATE_USE_FSDP": "true"}, "fp32"),
}


@pytest.mark.parametrize("named", REFUSED)
def test_refused_by_name(named: str) -> None:
    environment, precision = REFUSED[named]
    with pytest.raises(ValueError, match=named):
        check_configuration(environment, precision)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_was_not_asked_is_the_recipes_to_say(precision: str) -> None:
    check_configuration({}, precision)
    check_configuration({"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_DYNAMO_BACKEND": "NO"}, precision)
    check_configuration({"ACCELERATE_MIXED_PRECISION": "bf16"}, "bf16")
