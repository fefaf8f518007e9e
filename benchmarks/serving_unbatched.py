"""The service without adaptive batching, for `benchmarks/serving.py` to compare with."""

from typing import TYPE_CHECKING

import bentoml

from serving.gate import Gate
from serving.schemas import GenerateRequest
from serving.service import Crescendo, GenerateInput, ImagesOutput

if TYPE_CHECKING:
    from serving.engine import GeneratedImage, Job


@bentoml.service(threads=64)
class Unbatched(Crescendo.inner):  # type: ignore[name-defined,misc]
    """`Crescendo` with a `generate` that is not batched; its requests share the same workers."""

    @bentoml.api(  # type: ignore[untyped-decorator]
        input_spec=GenerateInput, output_spec=ImagesOutput
    )
    def generate(self, jobs: "list[Job]") -> "list[GeneratedImage]":
        """Generate one request's images."""
        images: list[GeneratedImage] = self.engine.generate(jobs)
        return images


Unbatched.add_asgi_middleware(
    Gate,
    kinds={"/generate": GenerateRequest},
    resolve=lambda request: bentoml.get_current_service().engine.resolve(request),
)
