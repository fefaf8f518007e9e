"""The BentoML service: `bentoml serve` in the project's root starts it.

BentoML takes HTTP apart by an input and an output class per method. Ours read what the gate has checked, and
hand what the methods return to the encoder.
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

if TYPE_CHECKING:  # torch is heavy: it comes with the service's instance, not with this module
    from serving.engine import Job, Picture, ResolvedRequest

MAX_BATCH = 16  # pictures painted before what came later gets its turn
TIMEOUT = 60  # seconds until a request is given up


class GenerateInput(GenerateRequest, bentoml.IODescriptor):
    """One picture or several, of successive seeds."""

    __root_input__ = True  # BentoML's word for a method that takes the input as one argument

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> "list[Job]":
        """The jobs of the order that the gate has let in: the items that BentoML batches."""
        from serving.engine import Job

        return [Job(request.state.order, seed) for seed in request.state.order.seeds]


class GrowInput(GrowRequest, bentoml.IODescriptor):
    """One picture."""

    __root_input__ = True

    @classmethod
    async def from_http_request(cls, request: Request, _serde: object) -> "ResolvedRequest":
        """The order that the gate has let in."""
        order: ResolvedRequest = request.state.order
        return order


class _Output(bentoml.IODescriptor):
    """What a method answers, for the documentation: neither is JSON."""

    @classmethod
    def model_json_schema(cls, *_args: Any, **_options: Any) -> dict[str, Any]:
        return {"title": cls.__name__, "type": "string", "format": "binary", "description": cls.__doc__}


class PicturesOutput(_Output):
    """The picture, or a zip of them; in the headers X-Model, X-Seed (the first), X-Count, X-Resolution, X-Label."""

    media_type: ClassVar[str] = "image/*"

    @classmethod
    async def to_http_response(cls, pictures: "list[Picture]", _serde: object) -> Response:
        """Encode the pictures of one order, aside from the event loop."""
        from serving.encoding import answer

        return await asyncio.to_thread(answer, pictures)


class EventsOutput(_Output):
    """Server-sent events: `image` and at last `done`.

    The fields of an image, as JSON: resolution, height, width, index, of, seed, label, model, format, image.
    """

    media_type: ClassVar[str] = "text/event-stream"

    @classmethod
    async def to_http_response(cls, events: AsyncIterator[str], _serde: object) -> Response:
        """Send each event as it comes, and have no proxy hold it back."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type=cls.media_type, headers=headers)


@bentoml.service(traffic={"timeout": TIMEOUT, "max_concurrency": 256})
class Crescendo:
    """Pictures from seeds, whole or as they grow."""

    def __init__(self) -> None:
        import prometheus_client  # wants the worker's environment

        from serving.engine import Engine

        self.engine = Engine.start()
        self.painted = prometheus_client.Counter(
            "crescendo_pictures_total",
            "Pictures painted, stages of growing ones included",
            ["model", "resolution"],
        )

    @bentoml.on_deployment
    @staticmethod
    def check_models() -> None:
        """Refuse to start on models that cannot be loaded, rather than start workers that fail for ever."""
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "serving.engine"]  # a process of its own gives torch's memory back
        environment = os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)}
        check = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if check.returncode:
            raise BentoMLException(check.stderr.strip())

    @bentoml.api(
        input_spec=GenerateInput,
        output_spec=PicturesOutput,
        batchable=True,
        max_batch_size=MAX_BATCH,
        max_latency_ms=TIMEOUT * 1000,
    )
    def generate(self, jobs: "list[Job]") -> "list[Picture]":
        """A picture from a seed, or several from successive seeds. One seed gives one picture, always."""
        pictures = self.engine.paint(jobs)
        for picture in pictures:
            self.painted.labels(picture.job.order.model, picture.job.order.resolution).inc()
        return pictures

    @bentoml.api(input_spec=GrowInput, output_spec=EventsOutput)
    async def generate_progressive(self, order: "ResolvedRequest") -> AsyncGenerator[str, None]:
        """A picture as it grows from 4x4, one event per resolution, each sent as soon as it exists."""
        from serving.encoding import encode

        loop, pool = asyncio.get_running_loop(), self.engine.pool
        sides = self.engine.stages(order)
        stages = self.engine.grow(order)
        for index, side in enumerate(sides, 1):
            image = await loop.run_in_executor(pool, next, stages)
            self.painted.labels(order.model, side).inc()
            content = await loop.run_in_executor(pool, encode, image, order.format)
            fields = {
                "resolution": side,
                "height": image.shape[1],
                "width": image.shape[2],
                "index": index,
                "of": len(sides),
                "seed": order.seeds[0],
                "label": order.labels[0] if order.labels else None,
                "model": order.model,
            }
            yield _event(
                "image", fields | {"format": order.format, "image": base64.b64encode(content).decode()}
            )
        yield _event("done", {})


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


_service: Any = Crescendo  # the decorator has made a `bentoml.Service` of the class
_service.add_asgi_middleware(
    Gate,
    kinds={"/generate": GenerateRequest, "/generate_progressive": GrowRequest},
    order=lambda request: bentoml.get_current_service().engine.order(request),
)
_service.mount_asgi_app(
    pages(lambda: bentoml.get_current_service().engine, lambda: _service.openapi_spec.asdict()), path="/"
)
