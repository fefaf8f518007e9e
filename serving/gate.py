"""The door: reads, bounds and checks every request before any work is done, and refuses with a sentence."""

from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.schemas import MAX_BODY, GrowRequest, RefusedError, parse


class Gate:
    """ASGI middleware that turns a POST to one of `kinds` into an order, found at `request.state.order`.

    A request that cannot be met is answered here, with 4xx and `{"error": "a sentence"}`.
    """

    def __init__(
        self,
        app: ASGIApp,
        kinds: Mapping[str, type[GrowRequest]],  # what is asked for, by path
        order: Callable[[GrowRequest], object],  # makes a request definite, or raises RefusedError
    ) -> None:
        self.app, self.kinds, self.order = app, kinds, order

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self.kinds:
            try:
                headers = Headers(scope=scope)
                request = parse(self.kinds[scope["path"]], headers, await _body(headers, receive))
                scope.setdefault("state", {})["order"] = self.order(request)
            except RefusedError as refused:
                answer = JSONResponse({"error": str(refused)}, refused.status)
                return await answer(scope, receive, send)
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
