"""The service without adaptive batching, for `benchmarks/serving.py` to compare with."""

from typing import TYPE_CHECKING

import bentoml

from serving.gate import Gate
from serving.schemas import GenerateRequest
from serving.service import Crescendo, GenerateInput, ImagesOutput

if TYPE_CHECKING:
    from serving.engine import GeneratedImage, Job


@bentoml.service(threads=64)
class Unbatched(Crescendo.inner):
    """`Crescendo` with a `generate` that is not batched; its requests share the same painters."""

    @bentoml.api(input_spec=GenerateInput, output_spec=ImagesOutput)
    def generate(self, jobs: "list[Job]") -> "list[GeneratedImage]":
        """Paint one request's pictures."""
        return self.engine.generate(jobs)


Unbatched.add_asgi_middleware(
    Gate,
    kinds={"/generate": GenerateRequest},
    resolve=lambda request: bentoml.get_current_service().engine.resolve(request),
)
