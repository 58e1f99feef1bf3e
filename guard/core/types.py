"""The nouns that every floor shares. All are frozen values; none knows how it is stored, sent or decided.

Offsets are characters of one channel, half-open, counted from the start of the turn. Text that was retracted is
in no channel; text that guard put in is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Channel = Literal["reasoning", "content", "tool_calls"]
"""Where a piece of an assistant turn belongs; OpenAI's words."""

CHANNELS: tuple[Channel, ...] = ("reasoning", "content", "tool_calls")

Origin = Literal["model", "guard", "client"]
"""Who wrote a stretch of text: the policy model, guard (a correction), or the client (an unfinished assistant turn)."""

Correct = Literal["interrupt", "retract", "restart"]
"""How a claim is corrected: "No, ..." after it; cut out and replaced; or, where text must not be injected
(structured output), the channel asked for again from its start."""

Status = Literal["clean", "flagged", "unscanned", "not_applicable"]
"""A check's verdict on a segment. One that did not run is `unscanned`; one with nothing to check against is
`not_applicable`; neither is `clean`."""

Disposition = Literal["none", "interrupted", "observed", "late", "limited"]
"""What a flagged verdict led to: nothing (below `interrupt_at`), an interruption, nothing because the policy only
observes, nothing because it came too late, or the policy's `at_limit`."""

Outcome = Literal["corrected", "relapsed", "abandoned"]

Continuation = Literal["token_exact", "text_exact", "field_prefill", "reask", "tool_answers"]
"""How a backend continued a cut turn, best first. `tool_answers`: the calls were answered instead of run."""

_SPACE = re.compile(r"\s+")
_EDGE = re.compile(r"^[\W_]+|[\W_]+$")


def normalise(text: str) -> str:
    """A claim's identity for "the same claim again": case, spacing and outer punctuation do not count."""
    return _SPACE.sub(" ", _EDGE.sub("", text)).casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One sampled token, where the upstream tells.

    `id` is -1 where the upstream tells text only. `text` is the token's characters in its channel. `logprob` and
    `entropy` are in nats under the distribution it was sampled from before temperature; `top` holds (token id,
    log-probability) pairs, best first; where their ids are not told (-1), `top_texts` says what they spell, in the same
    order. `probe`: 0..1, what a probe of the policy model's own hidden states makes of the place it stands in (1: made
    up).
    """

    id: int
    text: str
    logprob: float | None = None
    entropy: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    probe: float | None = None
    top_texts: tuple[str, ...] = ()


Spelled: TypeAlias = tuple[tuple[int, Token], ...]
"""A text's tokens in order, each with the character of the text that it begins at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What is checked: a sentence, a list item, a block of code, a tool call.

    Attributes:
        id: unique in a session, rising; a verdict names it.
        start, end: its characters in `channel`; leading white space is part of it.
        text: ``channel[start:end]``; for a tool call, the JSON of its arguments.
        attempt: the upstream call that wrote its last character.
        tool: the called function's name, for `tool_calls` only.
    """

    id: int
    channel: Channel
    start: int
    end: int
    text: str
    attempt: int
    tool: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A check's evidence about a segment. It decides nothing: thresholds live in the policy.

    Attributes:
        score: 0..1, how sure the check is that the statement is confabulated.
        reason: one sentence, ready to stand after "No, "; may be empty.
        correction: the true statement as one sentence, or "" where none is at hand.
        evidence: the quote the finding rests on, or "".
        subject: what the claim is about, to see whether the model comes back to it; or "".
        start, end: characters inside the segment's text that are wrong; default the whole of it (end None).
        fits: the correction, without its full stop, can stand in the place of just these characters.
    """

    score: float
    reason: str = ""
    correction: str = ""
    evidence: str = ""
    subject: str = ""
    start: int = 0
    end: int | None = None
    fits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One check's answer about one segment, after the policy has read its findings.

    Attributes:
        findings: with calibrated scores where the policy has a calibration.
        fused: the policy's probability from all its checks, where a fusion attributed it to this check; else None.
        used: the later segment that built on the statement, where the policy waited for that; else None.
    """

    segment: int
    check: str
    version: str
    status: Status
    why: str = ""
    findings: tuple[Finding, ...] = ()
    disposition: Disposition = "none"
    fused: float | None = None
    used: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool call as the model made it; `arguments` is the JSON text it wrote, valid or not."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The statement that was interrupted, with its place in its channel at the moment of the cut."""

    channel: Channel
    start: int
    end: int
    text: str
    tokens: tuple[Token, ...] = ()
    tool: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """A cut and its correction, self-contained: enough to train on without the session it came from.

    Attributes:
        id: `{session id}.{choice}.{number}`.
        number: 1 for the first interruption of the choice.
        attempt: the upstream call that was cut; the next one continues.
        kept: text before the claim, by channel, as the model's context had it.
        discarded: what the model wrote after the claim (all of it thrown away), by channel.
        put_in: what guard wrote into the turn.
        delay: characters the upstream had written past the claim's end when it was cut.
        tokens_wasted: tokens of `discarded`, and of the claim where it was retracted (estimated unless counted).
        verdicts: every verdict on the claim's segment at the cut, the deciding one first.
    """

    id: str
    choice: int
    number: int
    attempt: int
    correct: Correct
    late: bool
    claim: Claim
    kept: Mapping[Channel, str]
    discarded: Mapping[Channel, str]
    put_in: str
    reason: str
    correction: str
    check: str
    verdicts: tuple[Verdict, ...]
    delay: int
    tokens_wasted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How an interruption ended: written when the response does."""

    id: str
    outcome: Outcome
    continuation: Continuation | None
    followed: str
    """Model text of the claim's channel after the correction, up to the next segment that is flagged or unscanned or
    says again what was flagged elsewhere in the turn."""
    answer: str = ""
    """The content after that, where the claim was in the reasoning and nothing after it was flagged or unscanned."""
    complete: bool = False
    """Whether `followed` and `answer` reach the end of the turn, so that its end may be learnt too."""
    followed_tokens: Spelled = ()
    """The model's tokens that lie wholly inside `followed`, with at most `record.top_logprobs` alternatives each; ()
    where the policy keeps none or the upstream tells none."""
    answer_tokens: Spelled = ()
    """The same of `answer`."""
    uncorrected: int = 0
    """Segments before the claim that stand in the turn flagged or unscanned, and that nothing corrected."""
    behind_calls: bool = False
    """Whether guard answered tool calls earlier in the turn: the model went on behind them, and `kept` has no trace of
    them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of what a claim can be checked against.

    `source` is ``evidence`` (the request's ``guard.evidence``), ``tool``, ``system`` or ``user``. User text can
    clear a flag but never supplies a correction.
    """

    source: Literal["evidence", "tool", "system", "user"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a request supplies to check against. Never assistant text: a model's own words are what is in doubt.

    `question` is the last user message. `unreadable` names parts that no check can read (image, audio, file).
    """

    passages: tuple[Passage, ...] = ()
    question: str = ""
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardEvent:
    """What a client is told about an act of guard: the `guard` field of an ordinary chunk.

    `span` and `discarded` are characters of `channel` *as the client received it*: the claim, and the text after it
    that no longer counts. A retracted claim was never sent, so its span is empty and marks the place.
    """

    event: Literal["interruption", "retraction", "late", "limit", "unscanned"]
    id: str
    channel: Channel
    span: tuple[int, int]
    discarded: tuple[int, int] | None = None
    check: str = ""
    reason: str = ""
    correction: str = ""
    why: str = ""
    retracted: str | None = None
    """The retracted text; filled only under ``record.reveal``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """All that a backend needs to continue a cut turn; how it does so is its own affair.

    Attributes:
        kept: the assistant's turn so far as the model should see it, by channel, guard's text included.
        open_channel: the channel the model is to go on in (`reasoning`: the block is not closed).
        put_in: the tail of ``kept[open_channel]`` that guard wrote at this cut.
        retracted: the claim, where it was cut out of `kept`; "" where it stands there.
        sent: what the client has or will have been sent when the model goes on, guard's text included, by channel.
        message: the rendered `reask.message`, for a backend that can only ask again.
        restart: the open channel must be written again from its start (structured output).
        calls: tool calls that were made and not sent, each with guard's answer to it.
        calls_at: how much of ``kept["content"]`` stands before them; what is behind them was written after the answers.
        max_tokens: what is left of the request's budget, or None where it set none.
    """

    kept: Mapping[Channel, str]
    open_channel: Channel
    put_in: str
    retracted: str = ""
    sent: Mapping[Channel, str] = field(default_factory=dict)
    message: str = ""
    restart: bool = False
    calls: tuple[tuple[ToolCall, str], ...] = ()
    calls_at: int = 0
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a finished choice amounts to, for the log."""

    choice: int
    finish_reason: str | None
    segments: tuple[Segment, ...]
    verdicts: tuple[Verdict, ...]
    text: Mapping[Channel, str]
    interruptions: int
    discarded_tokens: int
    unscanned: int
    client_left: bool = False
    error: str | None = None

    @property
    def flagged(self) -> bool:
        """Whether any check flagged anything."""
        return any(v.status == "flagged" for v in self.verdicts)


JSON = Any
"""A decoded JSON value."""
