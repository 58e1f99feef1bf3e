"""How a cut turn goes on: what the model is shown, and where the new text joins what the client already has.

Pure text work. It does not know backends: which of the ways to continue is used is told by `Opened.continuation`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

OPENING = 200
"""Characters of a re-asked answer that are held until it is clear whether it goes on, overlaps or starts over."""

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

    Args:
        delivered: what the client has of this channel, if the upstream was asked again (it may overlap or start
            over); "" if it continues exactly.
        written: the model's own text of this channel before the splice, for stop strings that began in it.
        stops: the request's stop strings; matched on model text only.
    """

    __slots__ = ("_delivered", "_stops", "_written")

    def __init__(self, *, delivered: str = "", written: str = "", stops: Sequence[str] = ()) -> None:
        self._delivered = delivered
        self._stops = tuple(stop for stop in stops if len(stop) > 1)
        self._written = written[1 - max(map(len, self._stops)) :] if self._stops else ""

    @property
    def needed(self) -> bool:
        """Whether anything has to be held at all."""
        return bool(self._delivered or self._written)

    def join(self, text: str, final: bool) -> Join | None:
        """How `text`, the attempt's first characters, joins; None: hold it and ask again with more.

        `final`: no more will come.
        """
        if len(text) < self._enough() and not final:
            return None
        skip = self._skip(text, final) if self._delivered else 0
        if skip is None:
            return None
        if skip < 0:
            return Join(astray=True)
        return Join(skip=skip, stopped=self._completes_stop(text[skip:]))

    def _enough(self) -> int:
        return max(OPENING if self._delivered else 0, max((len(stop) - 1 for stop in self._stops), default=0))

    def _skip(self, text: str, final: bool) -> int | None:
        """Characters to drop, None if that cannot be told yet, -1 if the text starts over and goes astray."""
        told, said = self._delivered.strip(), text.lstrip()
        blank = len(text) - len(said)
        agree = _common_prefix(told, said)
        if agree == len(told):
            return blank + agree
        if agree >= min(_RESTART, len(told)):
            return None if agree == len(said) and not final else -1
        for size in range(min(len(told), len(said)), _OVERLAP - 1, -1):
            if told.endswith(said[:size]):
                return blank + size
        return 0

    def _completes_stop(self, text: str) -> bool:
        model, seam = self._written + text, len(self._written)
        return any(0 <= (at := model.find(stop)) < seam < at + len(stop) for stop in self._stops)


def _common_prefix(one: str, other: str) -> int:
    size = min(len(one), len(other))
    return next((i for i in range(size) if one[i] != other[i]), size)
