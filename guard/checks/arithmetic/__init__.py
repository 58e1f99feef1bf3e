r"""Arithmetic: sums that do not come to what the text says, and steps of algebra that change what they rewrite.

Catches: wrong equations in prose, chains of equations, LaTeX, calculator notes (``<<48/2=24>>``) and told
sums ("3 plus 4 is 7", "the sum of 3 and 4 is 7"), worked out in exact rationals. Understands + - * / ^ in
their usual spellings, brackets, implied products, percentages, currency, units, mixed numbers and rounding.
In LaTeX also expansions, factorisations and links of a chain with letters, roots, functions, factorials and
binomials ("f(x) = (x + 1)^2 = x^2 + 1"), compared at a few points; sums of results that were named before
("A = 3 * 4 = 12", later "A - B = 12 - 8" where B is -8); "91 is prime", "221 is divisible by 7", "50 is a
perfect square", "7^{11} \equiv 7 \pmod{25}".

Cannot catch: a right sum of the wrong numbers, other number bases (a segment that speaks of them or of residues is
checked for congruences alone), a conversion between units. Such things are left alone.
It does not know an equation to be solved, or a step that uses a side condition ("since x + y = 1"), from a wrong
identity: a step with letters is flagged and no more, unless words right before it name an identity ("expanding") and no
condition stands in its segment. A condition in an earlier segment is not seen, and a trial without words ("x = 3:
2 + 1 = 1") is interrupted.

Costs about 0.2 ms for a sentence of equations, microseconds for one without. Needs nothing.

Figures, alone at the default thresholds: on 7,473 correct word problems (GSM8K) 20 interruptions in 0.7 million
tokens, of which 19 are errors of those solutions; on ProcessBench's OlympiadBench and Omni-MATH 11 in 0.8 million clean
tokens, of which seven are errors that no one marked and four are trials of a number, and 5 % of the first wrong steps
found.

Rules: score 1.0 where both sides are read whole and no usual reading makes them equal; 0.6 where units, letters that
may be units, earlier rounding, an assumption ("suppose", "is false") or the sentence around leave a doubt. Questions
are not checked, nor is what stands in a block of code. What may be written without being an error (running sums,
numbers rounded or cut, "15/100 * 100 = 15%", a slip of writing that the chain itself mends) is no error, and a number
like 1.200, which may be 1200, is never certain.

A segment in which nothing was found that could be right or wrong (no sum, one that nothing here reads, a number that is
given a name) is `not_applicable`, and so is code in which something would be wrong; `clean` is one in which a sum, a
step or a number was worked out and holds.

The files: `lexer` (text to tokens), `meaning` (what a token means beside others), `expression` (tokens to values),
`comparing` (whether two sides may be the same), `equation` (which relations are wrong), `told` (sums in words), `named`
(sums of named results); `mathtext` (LaTeX to chains of members), `formula` and `points` (their values), `algebra`
(whether two differ), `identities` (which should not); `numbers` (primes, divisors, squares, residues); `doubt`
(what the words around leave of it); `wording` (findings).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

from guard.checks import TEXT, Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.checks.arithmetic.doubt import differentiates, is_assumed, is_named_identity
from guard.checks.arithmetic.equation import CERTAIN, MAX_FINDINGS, PLAUSIBLE, judged_relations
from guard.checks.arithmetic.identities import Slip, judged_links
from guard.checks.arithmetic.lexer import LETTER_UNITS
from guard.checks.arithmetic.mathtext import is_formula
from guard.checks.arithmetic.named import Named, judged_letters, named_in, sums_letters
from guard.checks.arithmetic.numbers import judged_claims
from guard.checks.arithmetic.told import judged_sums
from guard.checks.arithmetic.wording import finding, misused_finding, slip_finding
from guard.core.claims import in_code
from guard.core.types import Channel, Finding, Segment

_DIGIT = re.compile(r"[0-9½⅓⅔¼¾]")
_WRITTEN = re.compile(r"[=≈~]|\\approx")
_TOLD = re.compile(r"\b(?:is|equals?|makes|gives)\b")
_OPERATION = re.compile(r"[-+*/^×÷·−%]|\\|\b(?:plus|minus|times|divided|multiplied|sum|product|x)\b", re.IGNORECASE)
_OTHER_ARITHMETIC = re.compile(
    r"\\[pb]?mod|[≡⊕]|\b(?:mod|modulo|modulus|congruen\w*|bases?|binary|octal|hexadecimal|boolean)\b",
    re.IGNORECASE,
)
_BULLET = re.compile(r"\s*([-−+*])\s")
_ANNOTATION = re.compile(r"<<([^<>]{0,200})>>")
_NO_SUM, _CODE = NotApplicable("no sum"), NotApplicable("code")
MAX_NOTES = 200
"""Calculator notes of a segment that are looked at."""


class Arithmetic:
    """The check; it has no parameters."""

    version: ClassVar[str] = "3"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = TEXT

    class Params(CheckParams):
        """None."""

    def __init__(self, params: Any, resources: Resources) -> None:
        del params, resources

    def examine(self, segment: Segment, context: Context) -> Result:
        """One finding for each relation that does not hold."""
        text = segment.text
        if not _DIGIT.search(text) or text.rstrip().endswith(("?", "？")):
            return _NO_SUM
        judged = list(judged_claims(text))
        if _is_checkable(text):
            judged += [*_equations(text), *_algebra(text), *_named(segment, context)]
        if not judged:
            return _NO_SUM
        found = [finding for finding in judged if finding is not None]
        if found and in_code(other.text for other in context.kept if other.channel == segment.channel):
            return _CODE
        # A calculator note repeats the equation around it, and algebra holds numbers.
        findings = {finding.reason: finding for finding in reversed(found)}
        return tuple(sorted(findings.values(), key=lambda found: found.start)[:MAX_FINDINGS])


def _is_checkable(text: str) -> bool:
    if not (_WRITTEN.search(text) or (_TOLD.search(text) and _OPERATION.search(text))):
        return False
    return not _OTHER_ARITHMETIC.search(text)


def _equations(text: str) -> list[Finding | None]:
    found = list(_judged(text))
    if any(found) and (bullet := _BULLET.match(text)):
        # Wrong as a negative number; in a list it is none. What is right either way is left alone.
        found = list(_judged(text[: bullet.start(1)] + " " + text[bullet.end(1) :]))
    return found


def _algebra(text: str) -> Iterator[Finding | None]:
    for slip in judged_links(text):
        if slip is None:
            yield None
        elif not (slip.letters and differentiates(text)):
            yield slip_finding(text, slip, _certainty(text, slip))


def _certainty(text: str, slip: Slip) -> float:
    """An equation with letters may be one to be solved, unless it is said to be an identity."""
    start, end = slip.left.start, slip.right.end
    doubt = is_assumed(text, start, end) or (slip.letters and not is_named_identity(text, start, end))
    return PLAUSIBLE if doubt else CERTAIN


def _named(segment: Segment, context: Context) -> Iterator[Finding | None]:
    """What letters stand for is looked up only where a sum of letters is told."""
    if not sums_letters(segment.text):
        return
    read: dict[int, tuple[Named, ...]] = context.memo.setdefault("named", {})
    named: list[Named] = []
    for each in (*context.kept, segment):
        if each.id not in read:
            read[each.id] = named_in(each.text)
        named += read[each.id]
    for misused in judged_letters(segment.text, named):
        yield None if misused is None else misused_finding(segment.text, misused)


def _judged(text: str) -> Iterator[Finding | None]:
    for wrong in (*judged_relations(text), *judged_sums(text)):
        if wrong is None:
            yield None
            continue
        # In "3m^2 = 12" between dollars m is no metre.
        if (wrong.left.units | wrong.right.units) & LETTER_UNITS and is_formula(
            text, wrong.left.start, wrong.right.end
        ):
            continue
        # "= 6!" is said with feeling or a factorial.
        doubt = is_assumed(text, wrong.left.start, wrong.right.end) or text.startswith("!", wrong.right.end)
        score = min(wrong.score, PLAUSIBLE) if doubt else wrong.score
        yield finding(text, wrong, score)
    for note in islice(_ANNOTATION.finditer(text), MAX_NOTES):
        for wrong in judged_relations(note[1]):
            yield None if wrong is None else _moved(finding(note[1], wrong, wrong.score), note.start(1))


def _moved(found: Finding, by: int) -> Finding:
    return replace(found, start=found.start + by, end=None if found.end is None else found.end + by)


plugin = Arithmetic
