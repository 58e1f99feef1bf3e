"""What raw ASGI routes need: headers, a bounded body, a response that knows whether it has begun, who may come in.

Knows HTTP and nothing of chats.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from ipaddress import ip_address
from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from guard.errors import GuardError, RequestError, UpstreamError
from guard.server import wire

_REQUEST_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)
_JSON = (b"content-type", b"application/json")
_EVENTS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx in front of guard must not hold the stream back
]
_PROXYS = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"})


def headers_of(scope: Scope) -> dict[str, str]:
    """Request headers by lower-case name; of a repeated one, the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def read_body(receive: Receive, headers: Mapping[str, str], limit_mb: float) -> bytes | None:
    """The whole body, or None if the client left first. Raises RequestError 413 beyond the limit."""
    limit = int(limit_mb * 2**20)
    declared = headers.get("content-length", "")
    size, parts = 0, []
    while True:
        if size > limit or (declared.isdigit() and int(declared) > limit):
            raise RequestError(
                f"the request body is larger than {limit_mb:g} MB (server.max_body_mb)",
                status=413,
                code="body_too_large",
            )
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False) and size <= limit:
            return b"".join(parts)


def require_client_key(headers: Mapping[str, str], keys: Set[str] | None) -> None:
    """With client keys on, Authorization must be `Bearer` one of them. Raises RequestError 401."""
    if keys is None:
        return
    scheme, _, key = headers.get("authorization", "").partition(" ")
    # All are compared, whichever matches: the time tells nothing about which.
    matches = [hmac.compare_digest(key.strip().encode(), known.encode()) for known in keys]
    if scheme.lower() != "bearer" or not any(matches):
        raise RequestError(
            "a valid client key is required: Authorization: Bearer KEY", status=401, code="invalid_api_key"
        )


def listen(receive: Receive, leave: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Wait for the client to go, and then `leave`; cancel the task when the response is done."""

    async def wait() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await leave()

    return asyncio.create_task(wait())


def request_id(headers: Mapping[str, str]) -> str | None:
    """The client's own name for its request, if it can stand in a header and a log as it is."""
    name = headers.get("x-request-id", "")
    return name if _REQUEST_ID.fullmatch(name) else None


class Responder:
    """Writes one response; `request_id` is answered in the place of an upstream's."""

    def __init__(self, send: Send, request_id: str | None = None) -> None:
        self._send = send
        self._request_id = request_id
        self._events = False
        self.started = False

    async def stream(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send part of an event stream, its head first."""
        if not self.started:
            self._events = True
            await self._start(200, [*_EVENTS, *_encoded(headers)])
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes) -> None:
        """Send the last part of an event stream."""
        if not self.started:
            await self._start(200, list(_EVENTS))
        await self._send({"type": "http.response.body", "body": body})

    async def json(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole JSON response."""
        await self._whole(status, msgspec.json.encode(body), headers or {})

    async def verbatim(self, status: int, headers: Sequence[tuple[str, str]], body: AsyncIterator[bytes]) -> None:
        """Send an upstream's answer as it comes. One that breaks off is broken off here, without an end."""
        await self._start(status, [(n.encode("latin-1"), v.encode("latin-1", "replace")) for n, v in headers])
        async for data in body:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def error(self, error: GuardError) -> None:
        """Send an error as OpenAI would; an upstream's own body and status as they were."""
        if isinstance(error, UpstreamError):
            if error.body is not None:
                await self._whole(error.status, error.body, error.headers)
                return
            body = wire.error_body(str(error), kind="upstream_error", code="upstream_error")
            await self.json(error.status, body, error.headers)
        elif isinstance(error, RequestError):
            kind = "authentication_error" if error.status == 401 else "invalid_request_error"
            body = wire.error_body(str(error), kind=kind, param=error.param, code=error.code)
            await self.json(error.status, body)
        else:
            await self.json(500, wire.error_body(str(error), kind="server_error", code=type(error).__name__))

    async def give_up(self, why: str) -> None:
        """End the response with an error, as a frame where it has begun; what is no event stream is left torn."""
        body = wire.error_body(why, kind="server_error", code="unavailable")
        if not self.started:
            await self.json(503, body)
        elif self._events:
            await self.end(wire.sse(body) + wire.DONE)

    async def _whole(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        length = (b"content-length", str(len(body)).encode())
        kind = [] if "content-type" in headers else [_JSON]
        await self._start(status, [*kind, length, *_encoded(headers)])
        await self._send({"type": "http.response.body", "body": body})

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        if self._request_id is not None:
            headers = [
                *(pair for pair in headers if pair[0] != b"x-request-id"),
                (b"x-request-id", self._request_id.encode()),
            ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]


class AdminOnly:
    """Closes `/guard` to everybody but the operator: by the admin key where there is one, else to loopback.

    The Host header is looked at too, so that a page in the operator's browser cannot reach it by a name of its own
    that resolves to loopback (DNS rebinding). For the same reason what another origin's page asks is refused: by its
    `Origin`, or by `Sec-Fetch-Site` where the browser sends none (an image, a script, a link). Behind a proxy everybody
    comes from loopback, so what says that it came through one needs the key. The pages themselves hold no data and ask
    for the key: with one, everybody may load them.
    """

    def __init__(self, app: ASGIApp, *, key: str | None, host: str) -> None:
        self._app = app
        self._key = key
        self._bound_to_loopback = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or refuse it."""
        path = _path(scope)
        if scope["type"] == "http" and (path == "/guard" or path.startswith("/guard/")):
            headers = headers_of(scope)
            try:
                self._admit(headers, page=_is_page(path))
            except RequestError as error:
                await Responder(send).error(error)
                return
        await self._app(scope, receive, send)

    def _admit(self, headers: Mapping[str, str], *, page: bool) -> None:
        if self._key is not None:
            given = headers.get("x-guard-admin-key") or headers.get("authorization", "").partition(" ")[2]
            if not (page or hmac.compare_digest(given.strip().encode(), self._key.encode())):
                raise RequestError(
                    "the admin key is required: Authorization: Bearer KEY", status=401, code="invalid_admin_key"
                )
        elif not (self._bound_to_loopback and _is_local(headers)):
            raise RequestError(
                "without an admin key this answers on loopback only, and to no proxy; set GUARD_ADMIN_KEY",
                status=403,
                code="loopback_only",
            )
        if not page and _is_foreign(headers):
            raise RequestError(
                f"a page of {headers.get('origin', 'another site')!r} may not ask this; a proxy in front must pass the "
                "Host header on",
                status=403,
                code="foreign_origin",
            )


def _path(scope: Scope) -> str:
    """The path as the router reads it: behind the path that the application is mounted at, where that is one."""
    path: str = scope.get("path", "")
    root = scope.get("root_path", "")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def _is_page(path: str) -> bool:
    """Whether this is a page or a part of one; everything else under /guard is the operator's."""
    return path in ("/guard", "/guard/") or path.startswith("/guard/static/")


def _is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a page of another origin asks. The scheme is a proxy's affair."""
    if (origin := headers.get("origin")) is None:
        return headers.get("sec-fetch-site") in ("cross-site", "same-site")
    host = headers.get("host", "").lower()
    return origin.lower() not in (f"http://{host}", f"https://{host}")


def _is_local(headers: Mapping[str, str]) -> bool:
    """Whether loopback is asked by a name of its own, and by no proxy for somebody else."""
    return is_loopback(_hostname(headers.get("host", ""))) and _PROXYS.isdisjoint(headers)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _hostname(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
