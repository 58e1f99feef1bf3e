"""Every `/v1` route that guard does not serve itself: the request and its answer pass byte for byte.

Knows which model's upstream is meant, nothing of what is asked. Rules:
  A route that generates and is not supervised is counted as `unscanned(route)`, and refused where the policy fails
  closed (`on_unscanned: stop`).
  Only where a model's name is guard's own and not the upstream's, or carries a policy, does a request body change.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from guard.backends import Forwarder, Verbatim, VerbatimAnswer
from guard.errors import GuardError, RequestError, UpstreamError
from guard.server.gateway import Gateway, Served
from guard.server.http import Responder, headers_of, listen, read_body, require_client_key

# What answers without writing anything; every other POST may generate.
_READING = frozenset(
    "embeddings moderations rerank score classify tokenize detokenize files uploads audio/transcriptions "
    "audio/translations models vector_stores".split()
)
_ROUTES = _READING | frozenset(
    "completions responses images/generations images/edits images/variations audio/speech batches fine_tuning "
    "conversations videos assistants threads realtime evals containers".split()
)
_STAYS = frozenset(
    "host connection keep-alive proxy-authorization proxy-connection te trailer transfer-encoding upgrade expect "
    "cookie content-length".split()
)
_OURS = ("x-guard-", "x-forwarded-", "forwarded", "x-real-ip")
_FORM_MODEL = re.compile(rb'(name="model"\r?\n(?:[^\r\n]+\r?\n)*\r?\n)([^\r\n]*)')


class ForwardEndpoint:
    """`/v1/{path}` of any method."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        responder = Responder(send)
        try:
            headers = headers_of(scope)
            require_client_key(headers, self._gateway.client_keys)
            raw = await read_body(receive, headers, self._gateway.settings.server.max_body_mb)
            if raw is not None:
                await pass_on(self._gateway, scope, headers, raw, receive, responder)
        except GuardError as error:
            await responder.error(error)
        except asyncio.CancelledError:
            await responder.give_up("the server is shutting down")


async def pass_on(
    gateway: Gateway,
    scope: Scope,
    headers: Mapping[str, str],
    raw: bytes,
    receive: Receive,
    responder: Responder,
    *,
    missing: RequestError | None = None,
) -> None:
    """Pass a request on to its model's upstream and the answer back.

    `missing` is raised where the upstream does not know the route. Raises GuardError before the answer has begun.
    """
    path, query = _path(scope), scope["query_string"].decode("latin-1")
    if not gateway.settings.server.forward:
        raise RequestError(f"/v1/{path} is not served here (server.forward is off)", status=404, code="not_found")
    served, policy, body = _aimed(gateway, headers, raw)
    backend = served.backend
    if not isinstance(backend, Forwarder):
        raise missing or RequestError(
            f"/v1/{path}: the model {served.entry.name!r} ({served.entry.backend}) serves chats and completions only",
            status=404,
            code="not_found",
        )
    _count_unscanned(gateway, served, policy or headers.get("x-guard-policy"), scope["method"], path)
    request = Verbatim(
        method=scope["method"],
        path=path,
        query=query,
        headers=_passing(headers, gateway.client_keys is not None),
        body=body,
    )
    answer: VerbatimAnswer | None = None
    task = asyncio.current_task()
    assert task is not None
    left = asyncio.Event()

    async def leave() -> None:
        left.set()
        task.cancel()

    leaving = listen(receive, leave)
    status = "error"
    try:
        answer = await backend.forward(request)
        status = str(answer.status)
        if missing is not None and answer.status in (404, 405, 501):
            raise missing
        await responder.verbatim(answer.status, answer.headers, answer.body())
    except UpstreamError as error:
        status = str(error.status)
        if not responder.started:
            raise
    except asyncio.CancelledError:
        status = "client_left"
        if not left.is_set():
            raise
        task.uncancel()
    finally:
        leaving.cancel()
        if answer is not None:
            answer.close()
        gateway.metrics.forwarded.labels(served.entry.name, _route(path), status).inc()


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
    document = _document(raw) if kind in ("application/json", "") else None
    if document is not None:
        named = document.get("model")
    else:
        found = _FORM_MODEL.search(raw) if kind == "multipart/form-data" else None
        named = found[2].decode("utf-8", "replace") if found else None
    if not isinstance(named, str) or not named:
        return _default(gateway), _guard(document).get("policy"), raw
    model, _, policy = named.partition("@")
    served = gateway.model(model)
    wanted = str(served.entry.options.get("model") or served.upstream_name(model))
    policy = _guard(document).get("policy") or policy
    if document is not None and (named != wanted or "guard" in document):
        body = {name: value for name, value in document.items() if name != "guard"} | {"model": wanted}
        return served, policy or None, msgspec.json.encode(body)
    if named != wanted:
        raw = _FORM_MODEL.sub(lambda match: match[1] + wanted.encode(), raw, count=1)
    return served, policy or None, raw


def _document(raw: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
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
