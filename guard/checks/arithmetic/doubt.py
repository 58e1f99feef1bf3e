r"""What the words around a finding of `guard.checks.arithmetic` make of it.

An assumption ("suppose", "is false", "on a clock", a number put "into the equation" to see whether it holds) leaves a
doubt; a name ("expanding", "for all") says that an equation with letters is an identity, unless a condition stands in
the segment. It does not know conditions of other segments, nor words of other languages. Linear in the length.
"""

from __future__ import annotations

import re

_ASSUMED = re.compile(
    r"≠|\\neq?\b|\b(?:false|contradict\w*|impossible|incorrect\w*|wrong\w*|mistaken\w*|absurd|fails?|suppose"
    r"|invalid|assum(?:e|ing|ption)|no solutions?|(?:not|n['’]t) (?:an? |be )?(?:equal|true|correct|hold|valid"
    r"|possible|work|satisf\w+|solution|integer|whole)|instead of|rather than|try|trying|should be|clocks?"
    r"|into the (?:[a-z]+ ){0,2}equations?)\b",
    re.IGNORECASE,
)
_BEFORE, _AFTER = 160, 80
"""Characters around a relation in which an assumption counts."""
_NAMED = re.compile(
    r"\b(?:expand(?:s|ed|ing)?|expansion|factor(?:s|ed|ing)?|factori[sz](?:e|es|ed|ing|ation)|simplif(?:y|ies|ied|ying)"
    r"|identity|for all)\b",
    re.IGNORECASE,
)
_NEAR = 80
"""Characters before an equation in which such a name counts."""
_CONDITION = re.compile(
    r"[<>≤≥≠|]|\\(?:leq?|geq?|lt|gt|neq?|equiv|pm|[lr]vert)\b"
    r"|\b(?:if|since|because|as|given|where|when\w*|with|for (?!all\b)|let|taking|assum\w+|solv\w+|solutions?|suppos\w+"
    r"|using|under|provided|condition\w*|equations?|sides?|equal\w*|equat\w+|sets?|setting|substitut\w+|plug\w*|roots?"
    r"|unknowns?|satisf\w+|mistakes?|myth|not)\b",
    re.IGNORECASE,
)
_SOLVED = re.compile(r"\b(?:so|hence|thus|then|therefore|gives?|giving|gets?|yields?)\b|\\implies|\\Rightarrow|[⇒→]")
"""Behind an equation: it is worked on, so it may be one to be solved."""
_DERIVATIVE = re.compile(
    r"\\[dt]?frac\s?\{\s?d[^{}]{0,8}\}\s?\{\s?d|\\(?:partial|prime|nabla)\b"
    r"|(?<![a-zA-Z])[a-zA-Z]['′]{1,3}(?![a-zA-Z])|(?<![a-zA-Z])d[a-z](?![a-zA-Z])"
)


def is_assumed(text: str, start: int, end: int) -> bool:
    """Whether an assumption stands around these characters."""
    return _ASSUMED.search(text[max(0, start - _BEFORE) : end + _AFTER]) is not None


def is_named_identity(text: str, start: int, end: int) -> bool:
    """Whether the words right before the equation say that it holds whatever the letters are.

    Of a chain that is its first step: a later one may use what was said before.
    """
    lead = text[max(0, start - _NEAR) : start]
    names = list(_NAMED.finditer(lead))
    if not names or lead.count("=", names[-1].end()) > 1 or re.search(r"[.!?]\s", lead[names[-1].end() :]):
        return False
    return _CONDITION.search(text) is None and _SOLVED.search(text, end) is None


def differentiates(text: str) -> bool:
    """Whether a derivative is written: its letters are no numbers."""
    return _DERIVATIVE.search(text) is not None
