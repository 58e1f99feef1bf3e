"""How a cut turn goes on: what the model is shown, and where the new text joins what the client already has.

Pure text work. It does not know backends: which of the ways to continue is used is told by `Opened.continuation`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

OPENING = 200
"""Characters of a re-asked answer that are held until it is clear whether it goes on, overlaps or starts over."""

PREFILLED = 24
"""As many of an answer that goes on from a prefilled message: enough to see that it starts over instead."""

_OVERLAP = 12  # a shorter agreement between an end and a beginning is chance
_RESTART = 24  # as many equal characters at both beginnings are not
_LEAD = re.compile(r"\s*(?:(?:[-*+•]|\d{1,3}[.)])\s+)?")


def lead(claim: str) -> str:
    """White space and list marker at a claim's start: they stay when the claim is replaced."""
    found = _LEAD.match(claim)
    assert found is not None  # every part of it is optional
    return found[0]


def joined(before: str, text: str) -> str:
    """`text` as it is put behind `before`: one space between them unless there is white space already."""
    return text if not before or before[-1].isspace() else " " + text


@dataclass(frozen=True, slots=True)
class Join:
    """How the held opening of an attempt is let through.

    Attributes:
        skip: characters to drop from its start.
        stopped: it completes a stop string that began before the splice: none of it counts and the turn ends.
        astray: it starts over and then says something else than was delivered: it cannot be joined.
    """

    skip: int = 0
    stopped: bool = False
    astray: bool = False


class Seam:
    """Decides how the first text of an attempt joins the channel's text before it.

    Decided on the first `OPENING` characters, whatever deltas they came in; a repetition that goes on beyond them is
    followed to its end, each character compared once.

    Args:
        delivered: what the client has of this channel, if the upstream was asked again (it may overlap or start
            over) or was to go on from it (it may start over); "" if it continues exactly.
        prefilled: it was to go on: what it says is the model's own unless it starts over, an overlap is no accident.
        written: the model's own text of this channel before the splice, for stop strings that began in it.
        stops: the request's stop strings; matched on model text only.
    """

    __slots__ = (
        *("_again", "_delivered", "_enough", "_opening", "_place"),
        *("_prefilled", "_skip", "_stops", "_written"),
    )

    def __init__(
        self, *, delivered: str = "", written: str = "", stops: Sequence[str] = (), prefilled: bool = False
    ) -> None:
        self._prefilled = prefilled
        self._delivered = delivered.rstrip() if prefilled else delivered.strip()
        if prefilled and len(self._delivered) < _OVERLAP:
            self._delivered = ""
        self._stops = tuple(stop for stop in stops if len(stop) > 1)
        longest = max(map(len, self._stops), default=1)
        self._written = written[1 - longest :] if longest > 1 else ""
        self._enough = longest - 1
        if self._delivered:
            self._enough = max(PREFILLED, longest - 1) if prefilled else OPENING
        self._opening = ""
        self._place: int | None = None  # how far into `delivered` a repetition has been followed
        self._skip = 0
        self._again = False

    @property
    def needed(self) -> bool:
        """Whether anything has to be held at all."""
        return bool(self._delivered or self._written)

    def feed(self, text: str) -> Join | None:
        """Take the attempt's next characters; how all of them join, or None: hold them and feed more."""
        if self._place is not None:
            return self._follow(text)
        self._opening += text
        return None if len(self._opening) < self._enough else self._decide(final=False)

    def end(self) -> Join:
        """No more will come: how what there is joins."""
        if self._place is None and (join := self._decide(final=True)) is not None:
            return join
        return Join(astray=True) if self._again else Join(skip=self._skip)

    def _decide(self, final: bool) -> Join | None:
        if not self._delivered:
            return Join(stopped=self._completes_stop(self._opening))
        told, head = self._delivered, self._opening[: self._enough]
        # White space is all that tells a sentence said again, behind the text, from the text begun anew.
        said = head if self._prefilled else head.lstrip()
        blank = len(head) - len(said)
        agree = _common_prefix(told, said)
        if agree == len(told):
            return self._joined(blank + agree)
        self._again = agree >= min(_RESTART, len(told))
        if self._again and agree < len(said):
            return Join(astray=True)
        if self._prefilled and not self._again:
            return self._joined(0)
        at = 0 if self._again else told.find(said) if len(head) == OPENING else -1
        if at >= 0:
            self._place, self._skip = at + len(said), blank + len(said)
            return None if final else self._follow(self._opening[len(head) :])
        overlap = _overlap(told, said)
        return self._joined(blank + overlap if overlap else 0)

    def _follow(self, text: str) -> Join | None:
        """The text so far repeats what was delivered; does it go on to, and beyond, its end?"""
        assert self._place is not None
        rest = self._delivered[self._place : self._place + len(text)]
        if not text.startswith(rest):
            return Join(astray=self._again)
        self._place += len(rest)
        self._skip += len(rest)
        return Join(skip=self._skip) if self._place == len(self._delivered) else None

    def _joined(self, skip: int) -> Join:
        return Join(skip=skip, stopped=self._completes_stop(self._opening[skip:]))

    def _completes_stop(self, text: str) -> bool:
        model, seam = self._written + text, len(self._written)
        return any(0 <= (at := model.find(stop)) < seam < at + len(stop) for stop in self._stops)


def _overlap(told: str, said: str) -> int:
    """How much of the beginning of `said` repeats the end of `told`."""
    sizes = range(min(len(told), len(said)), _OVERLAP - 1, -1)
    return next((size for size in sizes if told.endswith(said[:size])), 0)


def _common_prefix(one: str, other: str) -> int:
    size = min(len(one), len(other))
    return next((i for i in range(size) if one[i] != other[i]), size)
