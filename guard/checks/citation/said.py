"""What a quoted string amounts to, for `guard.checks.citation`: taken from the sources, changed on the way, or nowhere.

Rules: an ellipsis or an editor's brackets divide a quote, and each part is looked for by itself. Where nearly all of it
stands in a source it is taken from there, whoever is named, and only grave differences are wrong; where nothing like it
does, it is wrong only if a source or a speaker whom the sources name is said to have said it. Titles are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from guard.checks.citation.attribution import (
    ABSENT,
    SURE,
    WEAK,
    cites_a_source,
    is_denied,
    is_doubtful,
    speakers,
)
from guard.checks.citation.cited import Quote
from guard.checks.citation.quotes import Match, words_of
from guard.checks.citation.sources import Sources
from guard.core.types import Finding

NEAR, SOME = 0.7, 0.45
"""How much of a quote stands in a source word for word where it is taken from there, and where it may tell of it."""
FEW = 3
"""With more words that gravely differ a quote is a retelling."""
LONG = 8
"""A quote of fewer words may be something else than a quote where no source is named."""
PART, RUN = 4, 4
"""Words of the shortest part of a divided quote that is looked for, and of the shortest stretch taken from a source."""
AROUND = 240
"""Characters on both sides of a quote in which a source may be named."""
SHOWN = 60
"""Characters of a quote that a reason repeats."""
_DIVIDED = re.compile(r"\.{3,}|…|\[[^\[\]]{0,60}\]|\(\.\.\.\)|/")
_CAPITAL = re.compile(r"[A-Z0-9]")


def misquoted(quote: Quote, text: str, sources: Sources) -> Finding | None:
    """The finding about a quote of `text`, or None."""
    parts = [words_of(part) for part in _DIVIDED.split(quote.text)]
    parts = [part for part in parts if len(part) >= PART]
    if not quote.is_closed and parts and text.rstrip()[-1:].isalnum():
        parts[-1] = parts[-1][:-1]  # the last word may be cut off
    missing = [part for part in parts if not (sources.given.holds(part) or sources.own.holds(part))]
    if not missing or _is_title(quote.text):
        return None
    part = max(missing, key=len)
    own = sources.own.match(part)
    if own is not None and own.share >= SOME:
        return None
    match = sources.given.match(part)
    if match is not None and match.share >= NEAR:
        return None if sources.is_rewriting else _changed(quote, match, len(part), text)
    return _absent(quote, part, match, text, sources)


def _changed(quote: Quote, match: Match, words: int, text: str) -> Finding | None:
    before = text[: quote.start]
    if not match.grave or is_denied(before):
        return None
    is_clear = words >= LONG or (cites_a_source(_around(quote, text)) and not is_doubtful(before))
    return Finding(
        score=SURE if match.grave <= FEW and is_clear else WEAK,
        reason=f"the source does not say {_shown(quote.text)}.",
        correction=f'The source says "{match.text}".',
        evidence=match.text,
        subject="quote",
        start=quote.start,
        end=quote.end,
    )


def _absent(quote: Quote, part: Sequence[str], match: Match | None, text: str, sources: Sources) -> Finding | None:
    before, around = text[: quote.start], _around(quote, text)
    is_named = any(sources.names(name) for name in speakers(around))
    if not (is_named or cites_a_source(around)) or is_doubtful(before) or sources.given.is_patched(part, RUN):
        return None
    retold = match is not None and match.share >= SOME
    return Finding(
        score=ABSENT if sources.are_retrieved and not retold else WEAK,
        reason=f"the words {_shown(quote.text)} stand in no source.",
        subject="quote",
        start=quote.start,
        end=quote.end,
    )


def _around(quote: Quote, text: str) -> str:
    return text[max(0, quote.start - AROUND) : quote.start] + '"' + text[quote.end : quote.end + AROUND]


def _is_title(text: str) -> bool:
    words = [word for word in text.split() if word[0].isalnum() and (len(word) > 3 or word[0].isupper())]
    return len(words) < 20 and sum(bool(_CAPITAL.match(word)) for word in words) > 0.7 * len(words)


def _shown(text: str) -> str:
    text = " ".join(text.split()).strip(" .,;:").replace('"', "'")
    return f'"{text}"' if len(text) <= SHOWN else f'"{text[:SHOWN].rsplit(" ", 1)[0]} ..."'
