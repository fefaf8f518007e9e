"""Requests. Every field is bounded, and values out of bounds are refused with a sentence."""

from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_SEED = 2**32 - 1
MAX_COUNT = 64  # images per request
MAX_PIXELS = 2**24  # in all images of a request together
MAX_BODY = 16 * 1024  # bytes of a request

Format = Literal["png", "jpeg", "webp"]
Layout = Literal["grid", "zip"]
_Request = TypeVar("_Request", bound="GrowRequest")


class RefusedError(Exception):
    """An invalid request, with the HTTP status and a sentence for the client."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class GrowRequest(BaseModel):
    """One image."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    seed: int | None = Field(
        default=None, ge=0, le=MAX_SEED, description="seed of the image; random by default"
    )
    model: str | None = Field(
        default=None, max_length=100, description="name from /models; the default model by default"
    )
    resolution: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description="shorter side in pixels, one of the model's; the largest by default",
    )
    truncation: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="variety, from 0 (the most typical image) to 1 (the full distribution)",
    )
    label: str | None = Field(
        default=None,
        max_length=255,
        description="one of the model's labels; drawn by the seed by default",
    )
    format: Format = Field(default="png", description="png and webp are lossless, jpeg is not")


class GenerateRequest(GrowRequest):
    """One image, or several of successive seeds."""

    count: int = Field(
        default=1, ge=1, le=MAX_COUNT, description="number of images, of seeds seed, seed + 1, ..."
    )
    layout: Layout = Field(
        default="grid", description="several images as one grid, or as a zip of files SEED.FORMAT"
    )


def parse(kind: type[_Request], headers: Mapping[str, str], body: bytes) -> _Request:
    """Read a request body. An empty body leaves every field at its default.

    Raises:
        RefusedError: not declared as JSON, not JSON, or not a valid request of this kind.
    """
    declared = headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and declared != "application/json":
        raise RefusedError(415, "the body must be JSON, sent with the header Content-Type: application/json")
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise RefusedError(400, _sentence(error, kind)) from None


def _sentence(error: ValidationError, kind: type[BaseModel]) -> str:
    parts = []
    for problem in error.errors(include_url=False, include_input=False)[:5]:
        where = ".".join(map(str, problem["loc"]))[:60]
        if problem["type"] == "json_invalid":
            parts.append(f"the body is not {problem['msg'].removeprefix('Invalid ')}")
        elif problem["type"] == "extra_forbidden":
            parts.append(f"there is no field {where!r}; the fields are {', '.join(kind.model_fields)}")
        else:
            fact = problem["msg"].replace("Input should be", "must be")
            parts.append(f"{where or 'the body'} {fact[0].lower()}{fact[1:]}")
    return "; ".join(parts)
