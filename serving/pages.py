"""GET pages: the list of models, the studio, the documentation of the API."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from serving.engine import Engine

_STUDIO = Path(__file__).with_name("studio")
# The pages load nothing from other hosts, and browsers enforce it.
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
_DOCS_POLICY = _POLICY.replace("style-src", "style-src 'unsafe-inline'").replace("img-src", "img-src blob:")

_INFO = {
    "title": "Crescendo",
    "version": "1",  # of the API
    "description": "Images from seeds, finished or as they grow. The studio at / is a client of this API.",
}
_MODELS_PATH = {
    "get": {
        "summary": "The models",
        "description": "Name, architecture, resolutions (shorter sides), height and width of the largest image, "
        "channels, labels, whether it is the default, further information.",
        "operationId": "Crescendo__models",
        "tags": ["Service APIs"],
        "responses": {"200": {"description": "Successful Response", "content": {"application/json": {}}}},
    }
}


def pages(engine: Callable[[], "Engine"], openapi: Callable[[], dict[str, Any]]) -> Starlette:
    """The application to mount at `/`."""

    def models(_: Request) -> Response:
        served = engine().models
        return JSONResponse(
            {
                "models": [
                    {
                        "name": name,
                        "architecture": model.architecture,
                        "resolutions": model.resolutions,
                        "height": model.size(model.resolutions[-1])[0],
                        "width": model.size(model.resolutions[-1])[1],
                        "channels": model.channels,
                        "labels": model.labels,
                        "default": name == engine().default,
                        "about": model.about,
                    }
                    for name, model in served.items()
                ]
            }
        )

    def specification(_: Request) -> Response:
        described = openapi()
        paths = {"/models": _MODELS_PATH} | described["paths"]
        return JSONResponse(described | {"info": _INFO, "paths": paths})

    return Starlette(
        routes=[
            Route("/", _page("index.html", _POLICY)),
            Route("/docs", _page("docs.html", _DOCS_POLICY)),
            Route("/docs.json", specification),
            Route("/models", models),
            Mount("/studio", StaticFiles(directory=_STUDIO)),
        ]
    )


def _page(name: str, policy: str) -> Callable[[Request], Response]:
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return lambda _: FileResponse(_STUDIO / name, headers=headers)
