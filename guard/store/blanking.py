"""Records without any text: what `record.prompts: none` leaves of them.

Pure functions; which record may be stored how is `privacy`'s.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from guard.core.records import Judgement, Provenance
from guard.core.types import Evidence, Finding, Interruption, Summary, Verdict

SAMPLING = frozenset(
    {"temperature", "top_p", "top_k", "min_p", "n", "seed", "max_tokens", "max_completion_tokens", "stream"}
    | {"presence_penalty", "frequency_penalty", "repetition_penalty", "logprobs", "top_logprobs"}
)
"""Request parameters that are numbers or switches by definition: all that is kept of them."""

_WORD = re.compile(r"[a-z_]{1,32}")


def provenance(source: Provenance) -> Provenance:
    """Where a session came from: names of our own, numbers, and a hash that tells conversations apart."""
    conversation = hashlib.sha256(source.conversation.encode(errors="surrogatepass")).hexdigest()
    scalars = {k: v for k, v in source.parameters.items() if k in SAMPLING and isinstance(v, (int, float, type(None)))}
    return replace(
        source,
        user="",
        conversation=conversation,
        messages=None,
        tools=None,
        evidence=Evidence(),
        parameters=scalars,
    )


def interruption(cut: Interruption) -> Interruption:
    """What was cut: where, by what and with which scores."""
    return replace(
        cut,
        claim=replace(cut.claim, text="", tokens=(), tool=None),
        kept={},
        discarded={},
        put_in="",
        reason="",
        correction="",
        verdicts=tuple(map(_verdict, cut.verdicts)),
    )


def _verdict(verdict: Verdict) -> Verdict:
    # A why of one word is guard's own ("deadline"); a longer one may quote what a check choked on.
    return replace(verdict, why=one_word(verdict.why) or "", findings=tuple(map(_finding, verdict.findings)))


def _finding(finding: Finding) -> Finding:
    return Finding(score=finding.score, start=finding.start, end=finding.end)


def summary(summary: Summary) -> Summary:
    """A choice: its segments and verdicts by place and score."""
    return replace(
        summary,
        segments=tuple(replace(s, text="", tool=None) for s in summary.segments),
        verdicts=tuple(map(_verdict, summary.verdicts)),
        text={},
        finish_reason=one_word(summary.finish_reason),
        error=None if summary.error is None else "withheld",
    )


def one_word(text: str | None) -> str | None:
    """The text if it is one lower-case word, as guard's own are; else None."""
    return text if text and _WORD.fullmatch(text) else None


def numbers(value: Any) -> Any:
    """The numbers of a nested mapping; everything else in it might be text."""
    if not isinstance(value, Mapping):
        return value if isinstance(value, (int, float)) else None
    kept = ((key, numbers(item)) for key, item in value.items())
    return {key: item for key, item in kept if item is not None}


def judgement(said: Judgement) -> Judgement:
    """The ruling, whose it is and when."""
    return replace(said, label="", reason=None, correction=None, note="")
