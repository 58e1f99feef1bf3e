"""Whether a text builds on what a finding is about: it says the finding's subject again.

1. The subject's words and numbers must stand in the text next to each other, in their order. Case does not count;
   numbers are compared as numbers ("1,200.0" is "1200"); a sign before a number does not count.
2. A subject counts if it has a number, or a word of three letters or more that is not among the commonest.

Exact words only: no inflection, no synonym, no pronoun is recognised. Knows nothing of segments, scores or sessions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

Tokens: TypeAlias = Sequence[str]

_TOKEN = re.compile(r"(?P<number>[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)|[^\W_]+|[-+*/^=×·÷%]")
_SAME = {"×": "*", "·": "*", "÷": "/"}
_COMMON = frozenset(
    "a about after again all also an and another any are as at be because been before between both but by can could "
    "day did different do does during each even every few first for from get good had has have he her here him his how "
    "however if in including into is it its just know last less like long made make many may more most much must new "
    "next no not now number of often on one only or other our out over own part people same say says see she should "
    "since so some such take than that the their them then there these they thing things this those three through time "
    "to two under up use used using very was way we well were what when where which while who why will with within "
    "without work would year years yes you your".split()
)


def tokens(text: str) -> Tokens:
    """The words, numbers and signs of arithmetic of a text, each in one form."""
    return [_form(found) for found in _TOKEN.finditer(text)]


def _form(found: re.Match[str]) -> str:
    if found["number"] is None:
        return _SAME.get(found[0], found[0].casefold())
    whole, _, rest = found[0].replace(",", "").partition(".")
    rest = rest.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{rest}" if rest else "")


def premise(subject: str) -> Tokens:
    """What must be said again for a text to build on `subject`; empty where nothing would show it."""
    found = tokens(subject)
    return found if any(map(_telling, found)) else []


def _telling(token: str) -> bool:
    return token[0] in "0123456789" or (len(token) >= 3 and token not in _COMMON)


def builds_on(text: Tokens, subject: Tokens) -> bool:
    """Whether `subject`, from `premise`, stands in a text's tokens."""
    size = len(subject)
    return size > 0 and any(text[at : at + size] == subject for at in range(len(text) - size + 1))
