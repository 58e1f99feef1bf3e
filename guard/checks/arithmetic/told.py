"""Sums and products that are told by name, for `guard.checks.arithmetic`: "the sum of 3, 4 and 5 is 12".

It knows plain numbers only, and only sums and products: a difference or a quotient is read both ways round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from guard.checks.arithmetic.equation import PLAUSIBLE, Wrong, judged_relations

_NUMBER = r"-?\$?[0-9][0-9,]{0,15}(?:\.[0-9]{1,10})?"
_TOLD = re.compile(
    rf"\b(?:the )?(?P<name>sum|product) of (?P<first>{_NUMBER})(?P<more>(?:, {_NUMBER}){{0,8}}),?"
    rf" and (?P<last>{_NUMBER})"
    rf" (?P<is>is|equals|=) (?P<shown>{_NUMBER})(?![\w(!%]|[.,:][0-9]|\s{{0,4}}[-+*/^×·÷=_(\\])",
    re.IGNORECASE,
)


def judged_sums(text: str) -> Iterator[Wrong | None]:
    """Told sums of `text`: None for one that is right."""
    if " of " not in text:
        return
    for match in _TOLD.finditer(text):
        sign = " + " if match["name"].lower() == "sum" else " * "
        middle = [part for part in match["more"].split(", ") if part]
        terms = [f"({term.rstrip(',')})" for term in (match["first"], *middle, match["last"])]
        for wrong in judged_relations(f"{sign.join(terms)} = {match['shown'].rstrip(',')}"):
            yield None if wrong is None else _placed(wrong, match, text)


def _placed(wrong: Wrong, match: re.Match[str], text: str) -> Wrong:
    """The relation with its places in the text instead of those in the sum that was made of it."""
    shown = match["shown"].rstrip(",")
    left = replace(wrong.left, start=match.start(), end=match.end("last"))
    right = replace(wrong.right, start=match.start("shown"), end=match.start("shown") + len(shown))
    # "half the sum of" and "twice the product of" are told too, and cut the other way round.
    lead = text[max(0, match.start() - 24) : match.start()].lower()
    doubtful = re.search(r"\b(?:half|twice|double|triple|times|of|plus|minus|and|cube|square)\b", lead)
    relation = "=" if match["is"] == "=" else "is"
    score = PLAUSIBLE if doubtful else wrong.score
    return replace(wrong, left=left, right=right, relation=relation, at=match.start("is"), score=score)
