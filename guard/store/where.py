"""Which records are meant: a filter, and how one is written on a command line.

Knows the fields, not the tables. A condition is ``field=value``, or for a score also ``score>=0.9`` and ``score<=0.5``.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from guard.core.records import Review
from guard.core.types import CHANNELS, Channel, Correct, Outcome
from guard.errors import ConfigError

OUTCOMES = (*get_args(Outcome), "open")
"""`open`: the response still runs."""

LONGEST_SEARCH = 1000
"""Characters of a search for words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records; what is None does not restrict.

    Attributes:
        since, until: unix seconds, half-open: when the turn was cut (a session: when its request arrived).
        outcome: ``open`` finds interruptions whose response still runs.
        score_min, score_max: of the deciding verdict's surest finding, 0..1, both included.
        text: words that all stand in the claim, in what was put in or in the question; the last one may be the
            beginning of a word.
        before: an id; only rows older than that one (the next page).
        limit: at most so many.
    """

    outcome: Outcome | str | None = None
    check: str | None = None
    policy: str | None = None
    model: str | None = None
    channel: Channel | str | None = None
    correct: Correct | str | None = None
    late: bool | None = None
    review: Review | str | None = None
    session: str | None = None
    conversation: str | None = None
    user: str | None = None
    since: float | None = None
    until: float | None = None
    score_min: float | None = None
    score_max: float | None = None
    text: str | None = None
    flagged: bool | None = None
    before: str | None = None
    limit: int | None = None

    @staticmethod
    def where(conditions: Sequence[str]) -> Filter:
        """The filter that `conditions` describe, such as ``check=grounding`` or ``since=2026-01-31``.

        Raises ConfigError: one cannot be understood, or two speak of one field.
        """
        found: dict[str, Any] = {}
        for condition in conditions:
            name, value = _condition(condition)
            if name in found:
                raise ConfigError(f"where {condition!r}: {name!r} is given twice; a record must match every condition")
            found[name] = value
        return Filter(**found)


def _condition(text: str) -> tuple[str, Any]:
    name, sign, value = _parts(text)
    known = _SIGNED.get(name + sign) or (name, _FIELDS.get(name) if sign == "=" else None)
    field, read = known
    if read is None:
        raise ConfigError(
            f"where {text!r}: write FIELD=VALUE, score>=X or score<=X; the fields are {', '.join(_FIELDS)}"
        )
    try:
        return field, read(value)
    except ValueError as error:
        raise ConfigError(f"where {text!r}: {error}") from None


def _parts(text: str) -> tuple[str, str, str]:
    name, _, value = text.partition("=")
    sign = "="
    if name[-1:] in (">", "<"):
        name, sign = name[:-1], f"{name[-1]}="
    return name.strip(), sign if "=" in text else "", value.strip()


def _one_of(*values: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"{text!r} is none of {', '.join(values)}")
        return text

    return read


def _text(text: str) -> str:
    if not text:
        raise ValueError("there is no value")
    return text


def _phrase(text: str) -> str:
    if len(text) > LONGEST_SEARCH:  # each word is a condition of its own, and a database takes so many
        raise ValueError(f"a search has {LONGEST_SEARCH} characters at most")
    return _text(text)


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise ValueError(f"{text!r} is no score from 0 to 1")
    return score


def _time(text: str) -> float:
    """Unix seconds, or a date (or a date and time) in local time, as the lists show it."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds):
        return seconds
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is neither a date such as 2026-01-31 nor unix seconds") from None


_FIELDS: Mapping[str, Callable[[str], Any]] = {
    "check": _text,
    "policy": _text,
    "model": _text,
    "channel": _one_of(*CHANNELS),
    "correct": _one_of(*get_args(Correct)),
    "late": _switch,
    "outcome": _one_of(*OUTCOMES),
    "review": _one_of(*get_args(Review)),
    "session": _text,
    "conversation": _text,
    "user": _text,
    "since": _time,
    "until": _time,
    "text": _phrase,
}
_SIGNED: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "score>=": ("score_min", _score),
    "score<=": ("score_max", _score),
}
