"""`POST /v1/chat/completions`, as a raw ASGI endpoint: a response object a chunk would cost more than the work.

One path for streaming and not: the whole answer is the collected stream. It reads the request, builds the sessions
and the relay, writes what they release, and listens for the client to leave.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from starlette.types import Receive, Scope, Send

from guard.backends import ChatRequest, estimate_tokens
from guard.core.config import Config
from guard.core.events import Finish
from guard.core.records import Provenance
from guard.core.session import Session
from guard.core.types import Summary
from guard.core.usage import Ledger
from guard.errors import GuardError, UpstreamError
from guard.registry import LoadedPolicy
from guard.relay import Out, Relay
from guard.server import wire
from guard.server.gateway import Gateway, Served
from guard.server.http import Responder, headers_of, read_body, require_client_key
from guard.server.journal import Journal
from guard.server.request import ChatCall, parse_chat

log = logging.getLogger("guard")

_UPSTREAM_HEADERS = ("authorization", "openai-organization", "openai-project", "http-referer", "x-title", "user-agent")
_PARAMETERS_ELSEWHERE = frozenset({"messages", "tools", "model", "user"})


class ChatEndpoint:
    """The supervised route."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        responder = Responder(send)
        try:
            headers = headers_of(scope)
            require_client_key(headers, self._gateway.client_keys)
            raw = await read_body(receive, headers, self._gateway.settings.server.max_body_mb)
            if raw is None:
                return
            exchange = Exchange(self._gateway, parse_chat(raw, headers), headers, responder)
            await exchange.run(receive)
        except GuardError as error:
            await responder.error(error)
        except asyncio.CancelledError:
            # The server is going down and has waited long enough: the client is told, instead of a torn stream.
            await responder.give_up("the server is shutting down")


class Exchange:
    """One request and its response."""

    def __init__(self, gateway: Gateway, call: ChatCall, headers: Mapping[str, str], responder: Responder) -> None:
        self._gateway = gateway
        self._call = call
        self._responder = responder
        self._served = gateway.model(call.model)
        self._policy = gateway.policy(call.policy, self._served.entry)
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._identity = wire.Identity(self._id, int(time.time()), call.model)
        self._ledger = Ledger(prompt=estimate_tokens("".join(p.text for p in call.evidence.passages)))
        self._request = ChatRequest(
            body=dict(call.body),
            headers=_passing(headers, gateway.client_keys is not None),
            prefix=call.prefix,
            n=call.n,
            id=self._id,
            created=self._identity.fields["created"],
        )
        provenance = _provenance(self._id, call, self._served, self._policy)
        self._journal = Journal(gateway.store, gateway.metrics, provenance, self._policy.policy, call.n)
        self._finishes: list[Finish] = []
        self._stream = wire.StreamEncoder(self._identity)
        self._collector = wire.Collector(self._identity, call.n)

    async def run(self, receive: Receive) -> None:
        """Serve it to its end, or until the client leaves."""
        labels = self._call.model, self._policy.policy.name
        metrics = self._gateway.metrics
        self._turn = self._served.backend.begin(self._request)
        relay = Relay(
            turn=self._turn,
            sessions=[self._session(choice) for choice in range(self._call.n)],
            policy=self._policy.policy,
            checks=self._policy.checks,
            evidence=self._call.evidence,
            emit=self._emit_stream if self._call.stream else self._emit_collected,
            record=self._journal.record,
            ledger=self._ledger,
            observers=[self._journal, metrics.observer(*labels)],
        )
        leaving = asyncio.create_task(_listen(receive, relay))
        metrics.running.inc()
        status = "error"
        try:
            await relay.run()
            status = await self._end()
        except UpstreamError as error:
            status = str(error.status)
            raise
        finally:
            leaving.cancel()
            metrics.running.dec()
            await self._close(labels, status)

    async def _close(self, labels: tuple[str, str], status: str) -> None:
        await self._journal.close(self._usage())
        metrics, timings = self._gateway.metrics, self._journal.timings
        metrics.requests.labels(*labels, status).inc()
        made = sum(finish.summary.interruptions for finish in self._finishes if finish.summary is not None)
        log.info("%s %s policy=%s status=%s interruptions=%d %.2fs", self._id, *labels, status, made, timings["finish"])
        metrics.seconds.labels(*labels).observe(timings["finish"])
        if "first_delta" in timings:
            metrics.first_seconds.labels(*labels).observe(timings["first_delta"])
        if "first_emit" in timings:
            metrics.emit_seconds.labels(*labels).observe(timings["first_emit"])

    def _session(self, choice: int) -> Session:
        call = self._call
        return Session(
            Config(
                session=self._id,
                choice=choice,
                policy=self._policy.policy,
                checks=self._policy.specs,
                prefix=call.prefix,
                structured=call.structured,
                max_tokens=call.max_tokens,
                stops=call.stops,
                count=self._served.backend.count,
            )
        )

    # What the relay releases

    async def _emit_stream(self, out: Sequence[Out]) -> None:
        parts: list[bytes] = []
        for choice, item in out:
            if type(item) is Finish:
                self._finishes.append(item)
                if item.error is not None and not self._responder.started and not parts:
                    continue  # nothing was sent: the error can still have a status of its own
                parts.append(self._stream.finish(choice, item))
            else:
                parts.append(self._stream.piece(choice, item))  # type: ignore[arg-type]
        if parts:
            self._journal.mark("first_emit")
            await self._responder.stream(b"".join(parts), self._turn.headers)

    async def _emit_collected(self, out: Sequence[Out]) -> None:
        for choice, item in out:
            if type(item) is Finish:
                self._finishes.append(item)
                self._collector.finish(choice, item)
            else:
                self._collector.piece(choice, item)  # type: ignore[arg-type]

    async def _end(self) -> str:
        failed = next((finish for finish in self._finishes if finish.error is not None), None)
        if any(finish.reason == "client_left" for finish in self._finishes):
            return "client_left"
        if failed is not None and not (self._call.stream and self._responder.started):
            events = self._collector.events
            body = wire.error_body(failed.error or "", kind="upstream_error", code=str(failed.status), guard=events)
            await self._responder.json(failed.status, body, self._turn.headers)
            return str(failed.status)
        if self._call.stream:
            usage = self._stream.usage(self._usage()) if self._call.include_usage else b""
            await self._responder.end(usage + wire.DONE)
        else:
            await self._responder.json(200, self._collector.answer(self._usage()), self._turn.headers)
        return "200" if failed is None else str(failed.status)

    def _usage(self) -> dict[str, Any]:
        summaries = [finish.summary for finish in self._finishes if finish.summary is not None]
        interruptions = sum(summary.interruptions for summary in summaries)
        count = self._served.backend.count
        return self._ledger.total(
            {
                "interruptions": interruptions,
                "discarded_tokens": sum(summary.discarded_tokens for summary in summaries),
                "supervisor_tokens": 0,
                "unscanned": sum(summary.unscanned for summary in summaries),
            },
            sum(count(text) for summary in summaries for text in self._delivered(summary)) if interruptions else None,
        )

    def _delivered(self, summary: Summary) -> Iterator[str]:
        """A choice's text without the beginning that the client itself wrote."""
        return (text[len(self._call.prefix.get(channel, "")) :] for channel, text in summary.text.items())


async def _listen(receive: Receive, relay: Relay) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    await relay.leave()


def _passing(headers: Mapping[str, str], keys_are_ours: bool) -> dict[str, str]:
    """The client's headers that may go upstream; its Authorization only where it is not guard's own key."""
    return {
        name: headers[name]
        for name in _UPSTREAM_HEADERS
        if name in headers and not (keys_are_ours and name == "authorization")
    }


def _provenance(id_: str, call: ChatCall, served: Served, loaded: LoadedPolicy) -> Provenance:
    return Provenance(
        session=id_,
        started=time.time(),
        conversation=call.conversation,
        user=call.user,
        model=call.model,
        policy_model=str(served.entry.options.get("model") or call.model),
        backend=served.entry.backend,
        policy=loaded.policy.name,
        policy_hash=loaded.hash,
        messages=call.body["messages"],
        tools=call.body.get("tools"),
        evidence=call.evidence,
        parameters={name: value for name, value in call.body.items() if name not in _PARAMETERS_ELSEWHERE},
    )
