"""Reads, bounds and checks every request before any work is done; refuses invalid ones with a sentence."""

from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.schemas import MAX_BODY, GrowRequest, RefusedError, parse


class Gate:
    """ASGI middleware that parses and resolves POST requests; the result is at `request.state.resolved`.

    An invalid request is answered here, with status 4xx and `{"error": "a sentence"}`.
    """

    def __init__(
        self,
        app: ASGIApp,
        kinds: Mapping[str, type[GrowRequest]],  # types of requests, by path
        resolve: Callable[[GrowRequest], object],  # resolves a request, or raises RefusedError
    ) -> None:
        self.app, self.kinds, self.resolve = app, kinds, resolve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self.kinds:
            try:
                headers = Headers(scope=scope)
                request = parse(self.kinds[scope["path"]], headers, await _body(headers, receive))
                scope.setdefault("state", {})["resolved"] = self.resolve(request)
            except RefusedError as refused:
                response = JSONResponse({"error": str(refused)}, refused.status)
                return await response(scope, receive, send)
        return await self.app(scope, receive, send)


async def _body(headers: Mapping[str, str], receive: Receive) -> bytes:
    too_large = RefusedError(413, f"the body must be at most {MAX_BODY} bytes")
    if int(headers.get("content-length", 0)) > MAX_BODY:  # the server has checked that it is a number
        raise too_large
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the body ended early")
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY:
            raise too_large
        if not message.get("more_body", False):
            return body
