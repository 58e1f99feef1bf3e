"""One conversation with the policy model: what is asked, the sessions over the answer, and its record.

Knows neither HTTP nor the shape of the response: what the sessions release goes to an `emit` that it is given.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.asking import Again
from guard.backends import ChatRequest, estimate_tokens
from guard.core.config import Config
from guard.core.events import Finish
from guard.core.policy import Policy
from guard.core.records import Provenance, Route
from guard.core.session import Session
from guard.core.types import Summary
from guard.core.usage import Ledger
from guard.errors import UpstreamError
from guard.registry import LoadedPolicy
from guard.relay import Emit, Out, Relay
from guard.server.gateway import Gateway, Served
from guard.server.http import request_id
from guard.server.journal import Journal
from guard.server.request import ChatCall

log = logging.getLogger("guard")

# Not x-request-id: it names one request, vLLM takes it for its own key, and guard asks several times.
_UPSTREAM_HEADERS = (
    *("authorization", "openai-organization", "openai-project", "http-referer", "x-title", "user-agent"),
    *("traceparent", "tracestate"),
)
_PARAMETERS_ELSEWHERE = frozenset({"messages", "prompt", "tools", "model", "user"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an exchange is about.

    Attributes:
        id: of the response; the record bears it too.
        call: the client's request, understood.
        headers: the client's, with lower-case names.
        route: the route it came in by (`chat`, `completions`, `responses`).
        prompt: the text to go on from, for a raw completion; else None.
    """

    id: str
    call: ChatCall
    headers: Mapping[str, str]
    route: Route = "chat"
    prompt: str | None = None


class Exchange:
    """A question and its supervised answer.

    Raises RequestError, when made, for a model or a policy that is not served and for what the backend cannot do.
    """

    def __init__(self, gateway: Gateway, question: Question, emit: Emit) -> None:
        call = question.call
        self._gateway = gateway
        self._call = call
        self._id = question.id
        self._emit_on = emit
        self._served = gateway.model(call.model)
        self._policy = gateway.policy(call.policy, self._served.entry)
        self._ledger = Ledger(prompt=estimate_tokens("".join(p.text for p in call.evidence.passages)))
        self._finishes: list[Finish] = []
        model, policy = self._labels = self._served.entry.name, self._policy.policy.name
        self._about = {"id": question.id, "route": question.route, "model": model, "policy": policy}
        self._request_id = request_id(question.headers)
        self._trace = None
        if gateway.tracing is not None:
            about = self._about | {"choices": call.n}
            self._trace = gateway.tracing.begin(question.headers, about, self._policy.checks)
        body = {**call.body, "model": self._served.upstream_name(call.model)}
        request = ChatRequest(
            body=body,
            headers=passing(question.headers, gateway.client_keys is not None)
            | (self._trace.headers if self._trace is not None else {}),
            prefix=call.prefix,
            n=call.n,
            id=question.id,
            created=int(time.time()),
            prompt=question.prompt,
            top_logprobs=_alternatives(self._policy.policy),
        )
        # A schema's text has no place in which to go on.
        self._again = None if call.structured else Again(self._served.backend, request)
        self._turn = self._served.backend.begin(request)
        source = _provenance(question, self._served, self._policy)
        self._journal = Journal(gateway.store, gateway.metrics, source, self._policy.policy, call.n)
        self._tap = gateway.live.tap(source, self._policy.policy)
        self._counts = gateway.metrics.observer(*self._labels)
        traces = [self._trace] if self._trace is not None and self._trace.sampled else []
        self._relay = Relay(
            turn=self._turn,
            sessions=[self._session(choice) for choice in range(call.n)],
            policy=self._policy.policy,
            checks=self._policy.checks,
            evidence=call.evidence,
            emit=self._emit,
            record=self._journal.record,
            ledger=self._ledger,
            observers=[self._journal, self._counts, self._tap, *traces],
            ask=self._again,
        )
        self._whole = False

    @property
    def headers(self) -> Mapping[str, str]:
        """The upstream's response headers worth passing on."""
        return self._turn.headers

    @property
    def begun(self) -> bool:
        """Whether the upstream has begun to answer."""
        return self._relay.began

    async def run(self) -> None:
        """Bring it to its end, or until `leave`. Raises GuardError if it failed before it brought anything."""
        metrics = self._gateway.metrics
        metrics.running.inc()
        self._tap.begin()
        status = "error"
        try:
            await self._relay.run()
            status = self._status()
            self._whole = status == "200"
        except UpstreamError as error:
            status = str(error.status)
            raise
        finally:
            metrics.running.dec()
            self._tap.end({"200": "finished", "client_left": status}.get(status, "failed"))
            await self._close(status)

    def ended(self) -> None:
        """The client has all of the response. What is still to be asked begins, unless it failed or the client left."""
        if self._whole and self._again is not None:
            self._gateway.counterfactuals.start(self._journal.unsampled, self._again, self._labels)

    async def leave(self) -> None:
        """The client has gone."""
        await self._relay.leave()

    def usage(self) -> dict[str, Any]:
        """The `usage` object, as far as it is known now."""
        summaries = [finish.summary for finish in self._finishes if finish.summary is not None]
        interruptions = sum(summary.interruptions for summary in summaries)
        count = self._served.backend.count
        return self._ledger.total(
            {
                "interruptions": interruptions,
                "discarded_tokens": sum(summary.discarded_tokens for summary in summaries),
                "supervisor_tokens": self._journal.supervisor_tokens,
                "unscanned": sum(summary.unscanned for summary in summaries),
            },
            sum(count(text) for summary in summaries for text in self._delivered(summary)) if interruptions else None,
        )

    async def _emit(self, out: Sequence[Out]) -> None:
        self._finishes += [item for _, item in out if type(item) is Finish]
        self._tap.released(out)
        if self._call.stream:
            self._journal.mark("first_emit")
        await self._emit_on(out)

    def _status(self) -> str:
        if any(finish.reason == "client_left" for finish in self._finishes):
            return "client_left"
        failed = next((finish for finish in self._finishes if finish.error is not None), None)
        return "200" if failed is None else str(failed.status)

    async def _close(self, status: str) -> None:
        usage, timings = self.usage(), self._journal.timings
        try:
            await self._journal.close(usage)
        finally:
            self._counts.ended(status, timings)
            told = {"interruptions": usage["guard"]["interruptions"], "tokens": usage["completion_tokens"]}
            if self._trace is not None:
                self._trace.ended(status, told)
            took = {"seconds": timings["finish"], "ttft": timings.get("first_emit", timings.get("first_delta"))}
            about = self._about | {"request_id": self._request_id, "status": status}
            log.info("response", extra={"fields": about | told | took})

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

    def _delivered(self, summary: Summary) -> Iterator[str]:
        """A choice's text without the beginning that the client itself wrote."""
        return (text[len(self._call.prefix.get(channel, "")) :] for channel, text in summary.text.items())


def passing(headers: Mapping[str, str], keys_are_ours: bool) -> dict[str, str]:
    """The client's headers that may go upstream; its Authorization only where it is not guard's own key."""
    return {
        name: headers[name]
        for name in _UPSTREAM_HEADERS
        if name in headers and not (keys_are_ours and name == "authorization")
    }


def _alternatives(policy: Policy) -> int:
    """How many alternatives are kept with each token: none where nothing is interrupted."""
    return policy.record.top_logprobs if policy.mode == "supervise" else 0


def _provenance(question: Question, served: Served, loaded: LoadedPolicy) -> Provenance:
    call, prompt = question.call, question.prompt
    return Provenance(
        session=question.id,
        started=time.time(),
        conversation=call.conversation,
        user=call.user,
        model=call.model,
        policy_model=str(served.entry.options.get("model") or served.upstream_name(call.model)),
        backend=served.entry.backend,
        policy=loaded.policy.name,
        policy_hash=loaded.hash,
        checks=loaded.params,
        route=question.route,
        messages=call.body["messages"] if prompt is None else [{"role": "user", "content": prompt}],
        tools=call.body.get("tools"),
        evidence=call.evidence,
        parameters={name: value for name, value in call.body.items() if name not in _PARAMETERS_ELSEWHERE},
    )
