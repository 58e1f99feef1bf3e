"""Arithmetic: sums that do not come to what the text says.

Catches: wrong equations in prose, chains of equations, LaTeX, calculator notes (``<<48/2=24>>``) and told
sums ("3 plus 4 is 7", "the sum of 3 and 4 is 7"), worked out in exact rationals. Understands + - * / ^ in
their usual spellings, brackets, implied products, percentages, currency, units, mixed numbers and rounding.

Cannot catch: a right sum of the wrong numbers, anything with a variable, a root or a function in it, other
number bases and residues (a segment that speaks of them is not checked), a conversion between units. Such
things are never called wrong; they are left alone.

Costs about 0.1 ms for a sentence with an equation, microseconds for one without. Needs nothing.

Rules: score 1.0 where both sides are read whole and no usual reading makes them equal; 0.6 where units,
letters that may be units, earlier rounding, an assumption ("suppose", "is false") or the sentence around
leave a doubt. Questions are not checked. What may be written without being an error (running sums, numbers
rounded or cut, "15/100 * 100 = 15%") is no error,
and a number like 1.200, which may be 1200, is never certain.

The files: `lexer` (text to tokens), `meaning` (what a token means beside others), `expression` (tokens
to values), `equation` (which relations are wrong), `told` (sums in words), `wording` (findings).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

from guard.checks import TEXT, Context, Resources, Result
from guard.checks import Params as CheckParams
from guard.checks.arithmetic.equation import MAX_FINDINGS, PLAUSIBLE, Wrong, wrong_relations
from guard.checks.arithmetic.told import wrong_sums
from guard.checks.arithmetic.wording import finding
from guard.core.types import Channel, Finding, Segment

_DIGIT = re.compile(r"[0-9½⅓⅔¼¾]")
_WRITTEN = re.compile(r"[=≈~]|\\approx")
_TOLD = re.compile(r"\b(?:is|equals?|makes|gives)\b")
_OPERATION = re.compile(r"[-+*/^×÷·−%]|\\|\b(?:plus|minus|times|divided|multiplied|sum|product|x)\b", re.IGNORECASE)
_OTHER_ARITHMETIC = re.compile(
    r"\\[pb]?mod|[≡⊕]|\b(?:mod|modulo|modulus|congruen\w*|bases?|binary|octal|hexadecimal|boolean)\b",
    re.IGNORECASE,
)
_ASSUMED = re.compile(
    r"≠|\\neq?\b|\b(?:false|contradict\w*|impossible|incorrect\w*|wrong\w*|mistaken\w*|absurd|fails?|suppose"
    r"|invalid|assum(?:e|ing|ption)|no solutions?|(?:not|n['’]t) (?:an? |be )?(?:equal|true|correct|hold|valid"
    r"|possible|work|satisf\w+|solution|integer|whole)|instead of|rather than|try|trying|should be)\b",
    re.IGNORECASE,
)
_BEFORE, _AFTER = 160, 80
"""Characters around a relation in which an assumption counts."""
_BULLET = re.compile(r"\s*([-−+*])\s")
_ANNOTATION = re.compile(r"<<([^<>]{0,200})>>")


class Arithmetic:
    """The check; it has no parameters."""

    version: ClassVar[str] = "2"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = TEXT

    class Params(CheckParams):
        """None."""

    def __init__(self, params: Any, resources: Resources) -> None:
        del params, resources

    def examine(self, segment: Segment, context: Context) -> Result:
        """One finding for each relation that does not hold."""
        del context
        text = segment.text
        if not _is_checkable(text):
            return ()
        found = list(_findings(text))
        if found and (bullet := _BULLET.match(text)):
            # Wrong as a negative number; in a list it is none. What is right either way is left alone.
            found = list(_findings(text[: bullet.start(1)] + " " + text[bullet.end(1) :]))
        # A calculator note repeats the equation around it.
        findings = {finding.reason: finding for finding in reversed(found)}
        return tuple(sorted(findings.values(), key=lambda found: found.start)[:MAX_FINDINGS])


def _is_checkable(text: str) -> bool:
    if not _DIGIT.search(text) or not (_WRITTEN.search(text) or (_TOLD.search(text) and _OPERATION.search(text))):
        return False
    return not (text.rstrip().endswith(("?", "？")) or _OTHER_ARITHMETIC.search(text))


def _findings(text: str) -> Iterator[Finding]:
    for wrong in _wrongs(text):
        around = text[max(0, wrong.left.start - _BEFORE) : wrong.right.end + _AFTER]
        # "= 6!" is said with feeling or a factorial.
        doubt = _ASSUMED.search(around) or text.startswith("!", wrong.right.end)
        score = min(wrong.score, PLAUSIBLE) if doubt else wrong.score
        yield finding(text, wrong, score)
    for note in _ANNOTATION.finditer(text):
        for wrong in wrong_relations(note[1]):
            yield _moved(finding(note[1], wrong, wrong.score), note.start(1))


def _wrongs(text: str) -> Iterator[Wrong]:
    yield from wrong_relations(text)
    yield from wrong_sums(text)


def _moved(found: Finding, by: int) -> Finding:
    return replace(found, start=found.start + by, end=None if found.end is None else found.end + by)


plugin = Arithmetic
