"""What is written down: one row for a session, one for each interruption, each readable on its own years later.

Plain values; the store decides where they go. Secrets never come this far: a provenance has no headers and no keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from guard.core.types import JSON, Closing, Evidence, Interruption, Summary

VERSION = 1
"""Of the record format; raised when a field changes meaning."""

Review = Literal["unreviewed", "confirmed", "rejected", "disputed"]
"""What reviewers make of guard's decision together; `disputed` where they disagree."""

Ruling = Literal["confirmed", "rejected", "unsure"]
"""What one reviewer makes of it. Of a statement that guard let pass, `rejected` says that it should not have."""

Route = Literal["chat", "completions", "responses"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a session came from: what every record of it carries.

    Attributes:
        session: the session's id.
        started: when the request arrived, in unix seconds.
        conversation: `x-guard-conversation`, else a hash of the system and first user message.
        user: the request's `user` field, or "".
        model: the model the client asked for, without the policy's name.
        policy_model: the upstream's name for it; `backend` is how it is reached.
        policy, policy_hash: the supervision policy by name and by the SHA-256 of its content.
        route: `chat`, `completions` (its one message is the raw prompt, rendered by no template) or `responses`.
        messages, tools: as the client sent them.
        parameters: the request's other fields (temperature, max_tokens, ...).
        checks: the policy's checks, each with the SHA-256 of its parameters.
    """

    session: str
    started: float
    conversation: str
    user: str
    model: str
    policy_model: str
    backend: str
    policy: str
    policy_hash: str
    messages: JSON
    tools: JSON = None
    evidence: Evidence = field(default_factory=Evidence)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    route: Route = "chat"
    checks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one reviewer said of one claim.

    Attributes:
        id: unique.
        subject: an interruption's id, or ``{session}.{choice}#{segment}`` of a segment that was not interrupted.
        session: the session it is of; it is forgotten with it.
        at: unix seconds.
        label: the kind of mistake in a word or two, or "".
        reason, correction: what guard should have said, where the reviewer wrote it anew; else None.
        note: for other reviewers.
    """

    id: str
    subject: str
    session: str
    reviewer: str
    at: float
    ruling: Ruling
    label: str = ""
    reason: str | None = None
    correction: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What a reviewer would have guard say instead; None where guard's own words stand."""

    label: str = ""
    reason: str | None = None
    correction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionRecord:
    """An interruption as it is stored.

    Attributes:
        at: when the turn was cut, in unix seconds; `delay_s` the seconds from the arrival of the claim's last
            character to the cut.
        closing: how it ended; None while the response runs. One left open by a crash is closed as `abandoned`.
        known: agreement of the policy model with the truth over k samples (0..1), or None where not measured.
        counterfactual: what the model would have written after the claim, where it was sampled.
        supervisor_tokens: tokens that model-based checks spent on the claim.
        revised: what reviewers would have guard say instead.
    """

    interruption: Interruption
    provenance: Provenance
    at: float
    delay_s: float
    closing: Closing | None = None
    review: Review = "unreviewed"
    known: float | None = None
    counterfactual: str | None = None
    supervisor_tokens: int = 0
    revised: Revision | None = None
    version: int = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A session as it is stored.

    Attributes:
        ended: unix seconds.
        choices: one summary a choice.
        events: the events each choice received, as `events.to_json` gives them, in order: they replay the session.
        timings: seconds from `started`, by name (`first_delta`, `first_emit`, `finish`).
        usage: the usage the client was told.
    """

    provenance: Provenance
    ended: float
    choices: tuple[Summary, ...]
    events: tuple[JSON, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    version: int = VERSION

    @property
    def flagged(self) -> bool:
        """Whether any check flagged anything in any choice."""
        return any(choice.flagged for choice in self.choices)
