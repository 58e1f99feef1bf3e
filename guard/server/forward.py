"""Every `/v1` route that guard does not serve itself: the request and its answer pass byte for byte.

Knows which model's upstream is meant, nothing of what is asked. Rules:
  A route that generates and is not supervised is counted as `unscanned(route)`, and refused where the policy fails
  closed (`on_unscanned: stop`).
  Where the upstream's key is guard's own, clients get what that key can compute, not the account behind it.
  Only where a model's name is guard's own and not the upstream's, or carries a policy, does a request body change.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from starlette.types import Scope

from guard.backends import Forwarder, Verbatim, VerbatimAnswer
from guard.errors import RequestError, UpstreamError
from guard.server.endpoint import Incoming
from guard.server.gateway import Gateway, Served
from guard.server.http import Responder, listen
from guard.server.request import split_model

# What answers without writing anything; every other POST may generate.
_READING = frozenset(
    "embeddings moderations rerank score classify tokenize detokenize files uploads audio/transcriptions "
    "audio/translations models vector_stores".split()
)
_COMPUTING = frozenset(
    "embeddings moderations rerank score classify tokenize detokenize audio/transcriptions audio/translations "
    "audio/speech images/generations images/edits images/variations completions responses".split()
)
FORWARDED = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Methods that are passed on (HEAD comes with GET). TRACE would show a client the key that guard adds."""

_ROUTES = _READING | frozenset(
    "completions responses images/generations images/edits images/variations audio/speech batches fine_tuning "
    "conversations videos assistants threads realtime evals containers".split()
)
_STAYS = frozenset(
    "host connection keep-alive proxy-authorization proxy-connection te trailer transfer-encoding upgrade expect "
    "cookie content-length".split()
)
_OURS = ("x-guard-", "x-forwarded-", "forwarded", "x-real-ip")
_FORM_MODEL = re.compile(
    rb'(content-disposition: *form-data; *name="model" *\r\n(?:[^\r\n]+\r\n)*\r\n)([^\r\n]*)', re.IGNORECASE
)


async def pass_on(incoming: Incoming, *, missing: RequestError | None = None) -> None:
    """Pass a request on to its model's upstream and the answer back.

    `missing` is raised where the upstream does not know the route. Raises GuardError before the answer has begun.
    """
    gateway, scope, headers = incoming.gateway, incoming.scope, incoming.headers
    path = _path(scope)
    served, policy, body = _aimed(gateway, headers, incoming.raw)
    if missing is not None and not isinstance(served.backend, Forwarder):
        raise missing
    backend = _admitted(gateway, served, scope["method"], path)
    _count_unscanned(gateway, served, policy, scope["method"], path)
    request = Verbatim(
        method=scope["method"],
        path=path,
        query=scope["query_string"].decode("latin-1"),
        headers=_passing(headers, gateway.client_keys is not None),
        body=body,
    )
    task = asyncio.current_task()
    assert task is not None
    left = asyncio.Event()

    async def leave() -> None:
        left.set()
        task.cancel()

    leaving = listen(incoming.receive, leave)
    status = ["error"]
    try:
        await _carry(backend, request, incoming.responder, missing, status)
    except asyncio.CancelledError:
        status.append("client_left")
        if not left.is_set():
            raise
        task.uncancel()
    finally:
        leaving.cancel()
        gateway.metrics.forwarded.labels(served.entry.name, _route(path), status[-1]).inc()


async def _carry(
    backend: Forwarder, request: Verbatim, responder: Responder, missing: RequestError | None, status: list[str]
) -> None:
    """There and back; how it went is added to `status`."""
    answer: VerbatimAnswer | None = None
    try:
        answer = await backend.forward(request)
        status.append(str(answer.status))
        body = answer.body()
        if missing is not None and answer.status in (404, 405, 501):
            said = b"".join([part async for part in body])
            if not _about_its_own(said, request.body):
                raise missing
            body = _once(said)
        await responder.verbatim(answer.status, answer.headers, body)
    except UpstreamError as error:
        status.append(str(error.status))
        if not responder.started:
            raise
    finally:
        if answer is not None:
            answer.close()


def _about_its_own(said: bytes, asked: bytes) -> bool:
    """Whether an upstream's "not found" is about the response that was named, and not about the route."""
    name = (_document(asked) or {}).get("previous_response_id")
    return isinstance(name, str) and bool(name) and name.encode() in said


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _admitted(gateway: Gateway, served: Served, method: str, path: str) -> Forwarder:
    """The backend, if the request may go there. Raises RequestError."""
    forward, backend = gateway.settings.server.forward, served.backend
    if forward == "none":
        raise RequestError(f"/v1/{path} is not served here (server.forward: none)", status=404, code="not_found")
    if not isinstance(backend, Forwarder):
        raise RequestError(
            f"/v1/{path}: the model {served.entry.name!r} ({served.entry.backend}) serves chats and completions only",
            status=404,
            code="not_found",
        )
    if forward == "auto" and backend.keyed and not (method == "POST" and _route(path) in _COMPUTING):
        raise RequestError(
            f"{method} /v1/{path} would reach the account behind guard's own key; server.forward: all allows it",
            status=403,
            code="not_forwarded",
        )
    return backend


def _path(scope: Scope) -> str:
    """What stands behind `/v1/`, as the client wrote it."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("latin-1").partition("?")[0].removeprefix("/v1/")


def _route(path: str) -> str:
    """The route for a label: a closed set, whatever clients ask for."""
    parts = path.split("/")
    return next((name for name in ("/".join(parts[:2]), parts[0]) if name in _ROUTES), "other")


def _count_unscanned(gateway: Gateway, served: Served, policy: str | None, method: str, path: str) -> None:
    loaded = gateway.policy(policy, served.entry).policy
    if method != "POST" or _route(path) in _READING or loaded.mode == "off":
        return
    if loaded.on_unscanned == "stop" and loaded.mode == "supervise":
        raise RequestError(
            f"/v1/{path} is not supervised as it is asked for, and the policy {loaded.name!r} lets nothing pass unseen",
            status=403,
            code="unscanned",
        )
    gateway.metrics.unscanned.labels("*", "route").inc()


def _passing(headers: Mapping[str, str], keys_are_ours: bool) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name not in _STAYS and not name.startswith(_OURS) and not (keys_are_ours and name == "authorization")
    }


# Which model is meant


def _aimed(gateway: Gateway, headers: Mapping[str, str], raw: bytes) -> tuple[Served, str | None, bytes]:
    """The model a request names, the policy with it, and the body with the upstream's own name for it."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    form = kind == "multipart/form-data"
    document = None if form else _document(raw)
    if document is not None:
        named = document.get("model")
    else:
        found = _FORM_MODEL.search(raw) if form else None
        named = found[2].decode("utf-8", "replace") if found else None
    asked = _guard(document).get("policy") or headers.get("x-guard-policy")
    if not isinstance(named, str) or not named:
        return _default(gateway), asked, raw
    model, policy = split_model(named)
    served = gateway.model(model)
    wanted = str(served.entry.options.get("model") or served.upstream_name(model))
    if document is not None and (named != wanted or "guard" in document):
        body = {name: value for name, value in document.items() if name != "guard"} | {"model": wanted}
        return served, asked or policy, msgspec.json.encode(body)
    if named != wanted:
        raw = _FORM_MODEL.sub(lambda match: match[1] + wanted.encode(), raw, count=1)
    return served, asked or policy, raw


def _document(raw: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # the upstream will say what is wrong with it
    return found if isinstance(found, dict) else None


def _guard(document: Mapping[str, Any] | None) -> Mapping[str, Any]:
    told = (document or {}).get("guard")
    return told if isinstance(told, Mapping) else {}


def _default(gateway: Gateway) -> Served:
    """For requests that name no model: the one that takes every name, the default, else the first with a server."""
    for name in ("*", gateway.settings.default_model):
        if name is not None and name in gateway.known:
            return gateway.model(name)
    forwarding = (served for served in gateway.models.values() if isinstance(served.backend, Forwarder))
    return next(forwarding, next(iter(gateway.models.values())))
