"""The BentoML service: `bentoml serve` in the project's root starts it.

BentoML parses requests and writes responses by an input and an output class per method. Ours take the requests that the
gate has resolved, and encode what the methods return.
"""

# mypy: allow-subclassing-any, allow-untyped-decorators

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import bentoml
from bentoml.exceptions import BentoMLException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from serving.gate import Gate
from serving.pages import pages
from serving.schemas import GenerateRequest, GrowRequest

if TYPE_CHECKING:  # torch is heavy; it is imported with the service's instance, not with this module
    from serving.engine import GeneratedImage, Job, ResolvedRequest

MAX_BATCH = 16  # images generated before later requests get their turn
TIMEOUT = 60  # seconds until a request is abandoned


class GenerateInput(GenerateRequest, bentoml.IODescriptor):
    """One image, or several of successive seeds."""

    __root_input__ = True  # in BentoML: the method takes the input as one argument

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> "list[Job]":
        """The jobs of the resolved request: the items that BentoML batches."""
        from serving.engine import Job

        resolved: ResolvedRequest = request.state.resolved
        return [Job(resolved, seed) for seed in resolved.seeds]


class GrowInput(GrowRequest, bentoml.IODescriptor):
    """One image."""

    __root_input__ = True

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> "ResolvedRequest":
        """The resolved request."""
        resolved: ResolvedRequest = request.state.resolved
        return resolved


class _Output(bentoml.IODescriptor):
    """A response that is not JSON, as the documentation describes it."""

    @classmethod
    def model_json_schema(cls, *_args: Any, **_options: Any) -> dict[str, Any]:
        return {"title": cls.__name__, "type": "string", "format": "binary", "description": cls.__doc__}


class ImagesOutput(_Output):
    """The image, or a zip of images; in the headers X-Model, X-Seed (the first), X-Count, X-Resolution, X-Label."""

    media_type: ClassVar[str] = "image/*"

    @classmethod
    async def to_http_response(cls, images: "list[GeneratedImage]", _serde: object) -> Response:
        """Encode the images of one request, in a thread beside the event loop."""
        from serving.encoding import response

        return await asyncio.to_thread(response, images)


class EventsOutput(_Output):
    """Server-sent events: `image` for each resolution, then `done`.

    The fields of an image, as JSON: resolution, height, width, index, of, seed, label, model, format, image.
    """

    media_type: ClassVar[str] = "text/event-stream"

    @classmethod
    async def to_http_response(cls, events: AsyncIterator[str], _serde: object) -> Response:
        """Send each event at once; proxies are asked not to buffer."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type=cls.media_type, headers=headers)


@bentoml.service(traffic={"timeout": TIMEOUT, "max_concurrency": 256})
class Crescendo:
    """Images from seeds, finished or as they grow."""

    def __init__(self) -> None:
        import prometheus_client  # needs the worker's environment

        from serving.engine import Engine

        self.engine = Engine.start()
        self.generated = prometheus_client.Counter(
            "crescendo_pictures_total",
            "Images generated, including the stages of growing ones",
            ["model", "resolution"],
        )

    @bentoml.on_deployment
    @staticmethod
    def check_models() -> None:
        """Refuse to start with models that cannot be loaded, rather than start workers that keep failing."""
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        command = [
            sys.executable,
            "-m",
            "serving.engine",
        ]  # in a process of its own, which frees torch's memory
        environment = os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)}
        check = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if check.returncode:
            raise BentoMLException(check.stderr.strip().removeprefix("error: "))

    @bentoml.api(
        input_spec=GenerateInput,
        output_spec=ImagesOutput,
        batchable=True,
        max_batch_size=MAX_BATCH,
        max_latency_ms=TIMEOUT * 1000,
    )
    def generate(self, jobs: "list[Job]") -> "list[GeneratedImage]":
        """An image from a seed, or several from successive seeds. A seed always gives the same image."""
        images = self.engine.generate(jobs)
        for image in images:
            self.generated.labels(image.job.request.model, image.job.request.resolution).inc()
        return images

    @bentoml.api(input_spec=GrowInput, output_spec=EventsOutput)
    async def generate_progressive(self, request: "ResolvedRequest") -> AsyncGenerator[str, None]:
        """An image as it grows from 4x4: one event per resolution, sent as soon as it is computed."""
        from serving.encoding import encode

        loop, pool = asyncio.get_running_loop(), self.engine.pool
        sides = self.engine.stages(request)
        stages = self.engine.grow(request)
        for index, side in enumerate(sides, 1):
            image = await loop.run_in_executor(pool, next, stages)
            self.generated.labels(request.model, side).inc()
            content = await loop.run_in_executor(pool, encode, image, request.format)
            fields = {
                "resolution": side,
                "height": image.shape[1],
                "width": image.shape[2],
                "index": index,
                "of": len(sides),
                "seed": request.seeds[0],
                "label": request.labels[0] if request.labels else None,
                "model": request.model,
            }
            yield _event(
                "image", fields | {"format": request.format, "image": base64.b64encode(content).decode()}
            )
        yield _event("done", {})


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


_service: Any = Crescendo  # the decorator has turned the class into a `bentoml.Service`
_service.add_asgi_middleware(
    Gate,
    kinds={"/generate": GenerateRequest, "/generate_progressive": GrowRequest},
    resolve=lambda request: bentoml.get_current_service().engine.resolve(request),
)
_service.mount_asgi_app(
    pages(lambda: bentoml.get_current_service().engine, lambda: _service.openapi_spec.asdict()), path="/"
)
