"""A supervision policy: which channels are watched, by which checks, and what a finding leads to.

The schema of `policies/*.yaml` (a check's entry is `guard.core.use`'s) and how a message is worded. It does not know
sessions, budgets in flight or files.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from guard.core.case import Case as Case  # part of the schema, though its own file
from guard.core.fusion import Fusion
from guard.core.types import Channel, Finding
from guard.core.use import CheckUse

Release = Literal["immediate", "checked"]
Unit = Literal["sentence", "paragraph", "whole"]

FIELDS = frozenset({"reason", "correction", "claim", "evidence"})
"""What a message template may name."""

_FUNCTION_WORDS = frozenset("A An In It The There This".split())
"""Sentence openers that lose their capital inside a sentence; any other word may be a name."""

_SPACE = re.compile(r"\s+")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Watch(_Model):
    """How one channel is released and corrected."""

    release: Release = "checked"
    unit: Unit = "sentence"
    max_hold_ms: Annotated[int, Field(gt=0)] = 2500
    correct: Literal["interrupt", "retract"] = "interrupt"

    @model_validator(mode="after")
    def _retract_needs_checked(self) -> Self:
        if self.correct == "retract" and self.release != "checked":
            raise ValueError(
                "correct: retract requires release: checked (what a client has been sent cannot be taken back)"
            )
        return self


def _template(text: str) -> str:
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise ValueError(f"message {text!r}: {error}") from None
    if unknown := names - FIELDS:
        raise ValueError(f"message {text!r} names {sorted(unknown)!r}; it may name {sorted(FIELDS)!r}")
    return text


class Interrupt(_Model):
    """Wording and budgets of interruptions, for a whole response."""

    message: str = "No, {reason} {correction}"
    unknown: str = "No, I do not know that. "
    max_per_response: Annotated[int, Field(ge=0)] = 3
    max_per_check: Annotated[int, Field(ge=0)] = 2
    cooldown_segments: Annotated[int, Field(ge=0)] = 1
    max_late_segments: Annotated[int, Field(ge=0)] = 3
    max_wasted_tokens: Annotated[int, Field(ge=0)] = 4096
    at_limit: Literal["caveat", "release", "stop"] = "caveat"

    _check = field_validator("message", "unknown")(_template)


class Retract(_Model):
    """Wording of a retraction for which no true statement is at hand."""

    unknown: str = "I could not confirm this. "
    _check = field_validator("unknown")(_template)


class Reask(_Model):
    """What a backend that cannot continue a turn is told when it is asked again."""

    message: str = "No, {reason} {correction} Continue from where the answer stopped."
    _check = field_validator("message")(_template)


class Recording(_Model):
    """What is written down.

    Attributes:
        clean_per_interruption: sessions without a finding that are kept for each one with a finding.
        prompts: what of the texts may be stored: all, all but what identifies someone, or nothing.
        top_logprobs: ask the policy model for log-probabilities with so many alternatives a token, and keep those of
            what followed a correction, under `prompts: full`; 0 asks for none. Only for upstreams that tell them:
            others refuse the request.
        counterfactual: share of interruptions after which the policy model is asked, once the response has ended, how
            it would have gone on without the interruption.
        reveal: clients are told retracted text.
        on_store_error: whether a turn goes on though its interruption could not be stored.
    """

    clean_per_interruption: Annotated[float, Field(ge=0)] = 1.0
    prompts: Literal["full", "redacted", "none"] = "full"
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    counterfactual: Annotated[float, Field(ge=0, le=1)] = 0.0
    reveal: bool = False
    on_store_error: Literal["continue", "stop"] = "continue"

    def wants_counterfactual(self, interruption: str) -> bool:
        """Whether the interruption of this id is in the share: the same for the same id, whoever asks."""
        place = int.from_bytes(hashlib.sha256(interruption.encode(errors="surrogatepass")).digest()[:8])
        return place < self.counterfactual * 2**64


class Policy(_Model):
    """A whole policy file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    mode: Literal["supervise", "observe", "off"] = "supervise"
    """`observe`: everything is checked and logged, nothing is held back or interrupted. `off`: nothing is checked."""
    watch: Mapping[Channel, Watch] = Field(default_factory=dict)
    checks: tuple[CheckUse, ...] = ()
    fusion: Fusion | None = None
    """In a policy file, also the name of a file that `guard eval --calibrate --fuse` wrote, beside it."""
    interrupt: Interrupt = Interrupt()
    retract: Retract = Retract()
    reask: Reask = Reask()
    on_unscanned: Literal["release", "stop"] = "release"
    record: Recording = Recording()
    cases: tuple[Case, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [use.check for use in self.checks]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"checks named twice: {sorted(twice)!r}")
        for position, use in enumerate(self.checks):
            if strangers := set(use.only_if) - set(names[:position]):
                raise ValueError(f"check {use.check!r}: only_if names {sorted(strangers)!r}, which no earlier check is")
            if deaf := [name for name in use.only_if if self.use(name).flag_at is None]:
                raise ValueError(f"check {use.check!r}: only_if names {deaf!r}, which never flags (flag_at null)")
        self._weighs_what_it_runs(names)
        if self.mode == "observe" and any(w.release != "immediate" for w in self.watch.values()):
            raise ValueError("mode: observe holds nothing back: every watched channel must have release: immediate")
        return self

    def _weighs_what_it_runs(self, names: Sequence[str]) -> None:
        weighed = self.fusion.checks if self.fusion is not None else {}
        if strangers := set(weighed) - set(names):
            raise ValueError(f"fusion weighs {sorted(strangers)!r}, which the policy does not run")
        for name, each in weighed.items():
            if each.calibrated is not (self.use(name).calibration is not None):
                has = "without" if each.calibrated else "with"
                raise ValueError(
                    f"fusion was fitted on other scores of check {name!r}, which stands here {has} calibration"
                )

    def use(self, check: str) -> CheckUse:
        """The entry of a check by name."""
        return next(use for use in self.checks if use.check == check)


def word(template: str, finding: Finding, claim: str) -> str:
    """Fill a message: one line, single spaces, no trailing space; empty fields leave no gap."""
    filled = template.format(
        reason=finding.reason, correction=finding.correction, claim=claim.strip(), evidence=finding.evidence
    )
    return _SPACE.sub(" ", filled).strip()


def interruption_text(policy: Policy, finding: Finding, claim: str) -> str:
    """What guard writes behind a claim: the message, or `unknown` where neither reason nor correction is at hand.

    A bare reason does not help a model that does not know better (measured: no gain), so where there is no
    correction, leave to say so takes its place.
    """
    if not (finding.reason or finding.correction):
        return word(policy.interrupt.unknown, finding, claim)
    if not finding.correction:
        finding = replace(finding, correction=policy.retract.unknown)
    return word(policy.interrupt.message, finding, claim)


def retraction_text(policy: Policy, findings: tuple[Finding, ...], claim: str, offset: int = 0) -> str:
    """What guard writes in a claim's place.

    Where every finding's correction fits the place of what is wrong, only those stretches are replaced and the rest of
    the sentence stays ("5 + 5 = 11 apples." becomes "5 + 5 = 10 apples."); else the surest finding's correction stands
    for the whole, or `retract.unknown`. `offset` is how much of the segment's text stands before `claim`.
    """
    marked = sorted(findings, key=lambda f: f.start)
    ends = [f.end - offset if f.end is not None else 0 for f in marked]
    starts = [f.start - offset for f in marked]
    apart = all(end <= start for end, start in zip([0, *ends], [*starts, len(claim)], strict=True))
    if apart and all(f.fits and f.correction and a < b for f, a, b in zip(marked, starts, ends, strict=True)):
        return _spliced(claim, marked, starts, ends)
    surest = max(findings, key=lambda f: f.score)
    return surest.correction.strip() or word(policy.retract.unknown, surest, claim)


def _spliced(claim: str, findings: list[Finding], starts: list[int], ends: list[int]) -> str:
    out, at = "", 0
    for finding, start, end in zip(findings, starts, ends, strict=True):
        true = finding.correction.strip()
        # The sentence goes on behind the stretch, or ends with a full stop of its own.
        true = true.removesuffix(".") if claim[end:].strip() or not claim[start:end].rstrip().endswith(".") else true
        lower = claim[start].islower() and true[:1].isupper() and true.split(" ")[0] in _FUNCTION_WORDS
        out += claim[at:start] + (true[:1].lower() + true[1:] if lower else true)
        at = end
    return out + claim[at:]
