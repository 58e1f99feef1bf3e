"""Whether a statement says that its sources say so, for `guard.checks.citation`. English only.

It knows the words around a citation; not the sources and not what is cited.
"""

from __future__ import annotations

import re


def _any(*lines: str) -> str:
    return f"(?:{'|'.join(' '.join(lines).split())})"


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_SOURCE = _any(
    r"passages? documents? docs? documentation article text sources? excerpts? report paper study e-?mail letter",
    r"reviews? reviewer policy contract agreement transcript web\s?page website manual guide handbook context",
    r"author record log results? statement files? readme paragraph section clause chapter minutes abstract",
)
_COUNTED = r"(?:passages?|documents?|docs?|sources?|excerpts?|articles?|reviews?|e-?mails?|reports?)"
_ADDRESS = _words(r"https?://\S+|www\.\S+")
_SAYS = _any(
    r"says? said states? stated stating reads? reading writes? wrote notes? noted mentions? mentioned describ\w+",
    r"explain\w* claim(?:s|ed) report(?:s|ed) defines? defined tells? told adds? added confirm\w* specif\w+ warn\w*",
    r"recommend\w* conclud\w+ emphasi[sz]\w+ quot\w+ as\sfollows according lists? listed provides? gives? given found",
    r"located cite[sd]? in According",
)
_POINTS = _any(
    r"the this that these those your our its each both one another first second third last",
)
_CUE = _words(
    rf"\b{_POINTS}\s(?:\w+\s){{0,3}}?{_SOURCE}\b[^.!?\n]{{0,80}}?\b(?-i:{_SAYS})\b"
    rf"|\b(?-i:{_SAYS})\b[^.!?\n]{{0,40}}?\b{_SOURCE}\b"
    rf"|\b{_COUNTED}\s?\(?\d{{1,3}}\)?\s?(?::|\b[^.!?\n]{{0,80}}?\b{_SAYS}\b)"
    r"|\baccording to\b|\bsources?:|\bI quote\b|\bquot(?:es?|ed|ing|ation) (?:directly )?(?:from|the|this|in|is)\b"
    r"|\b(?:as|was|is) (?:stated|written|noted|quoted|described|defined|cited|given|set out|documented) (?:in|by|at)\b",
)
_SPEECH = re.compile(  # in small letters: "the United States" say nothing
    r"\b%s\b"
    % _any(
        r"said says saying stated states wrote writes noted notes told added explained explains recalled announced",
        r"warned insisted admitted according\sto put\sit commented remarked argued",
    )
)
_NAME = re.compile(r"\b[A-Z][a-z]{2,}\b")
_DOUBT = _words(
    r"n['’]t\b|\b%s\b"
    % _any(
        r"not no never nowhere cannot unable without neither nor would could might may should maybe perhaps if whether",
        r"imagine suppose e\.?g\.? for\sexample for\sinstance such\sas like search(?:ing)? type enter click select tap",
        r"choose titled entitled called named labell?ed known\sas term phrase words? reply respond response write",
        r"answer question query asks? asked asking instead\sof rather\sthan prompt message subject\sline",
        r"along\sthe\slines paraphras\w+ in\sother\swords essentially I\s(?:said|wrote|mentioned|suggested|will|can)",
        r"my\s(?:draft|own|answer|earlier) let\sme let's so-called meaning means translat\w+",
    )
)
_DENIED = _words(r"\b(?:not|never|nowhere|rather than|instead of)\b|n['’]t\b")
_NONE_OF = _words(
    r"(?:\bno|\bnot (?:an?|in|on|at|the)|\b"
    r"(?:not|\w+n['’]t|never) (?:mention|contain|have|include|list|refer|appear|see|find)\w*"
    r"|\binstead of|\brather than)\b[^.!?]{0,30}$"
)
_MAKES = _words(
    r"\b%s\b"
    % _any(
        r"creat\w+ add(?:s|ed|ing)? new sav(?:e|es|ed|ing) writ(?:e|es|ing|ten) wrote mak(?:e|es|ing) made",
        r"put(?:s|ting)? generat\w+ renam\w+ mov(?:e|es|ed|ing) would could should propos\w+ suggest\w* introduc\w+",
        r"extract\w* split\w* will output let\sme let's I'll",
    )
)
INVENTS = _words(
    r"\b%s\b"
    % _any(
        r"invent\w* make\sup made[-\s]up fiction\w* imagin\w+ fake dummy sample placeholder hypothetical story stories",
        r"poem novel dialogue role-?play screenplay joke slogan brainstorm mock",
    )
)
"""Words of a request to make things up."""
REWRITES = _words(
    r"\b%s\b"
    % _any(
        r"re-?write re-?word rephrase paraphrase improve edit proofread translate polish shorten simplify redraft",
        r"draft (?:correct|fix|change)\sthe tone",
    )
)
"""Words of a request to put a text otherwise."""
BEFORE, JUST_BEFORE = 90, 30
"""Characters before a citation in which a word of doubt, and one of denial, counts."""
SURE, ABSENT, WEAK = 0.95, 0.9, 0.6
"""Scores: it differs from what is there; it is attributed and not there; it is not there."""


def cites_a_source(around: str) -> bool:
    """Whether the words around a citation say that a source, by its kind, says so."""
    return _CUE.search(_ADDRESS.sub(" ", around)) is not None  # docs.python.org are no docs


def speakers(around: str) -> list[str]:
    """The names of those who are said to have spoken."""
    return _NAME.findall(around) if _SPEECH.search(around) else []


def is_doubtful(before: str) -> bool:
    """Whether the words before a citation deny it, or put it as possible, or say that something else is quoted."""
    return _DOUBT.search(before[-BEFORE:]) is not None


def is_denied(before: str) -> bool:
    """Whether the words just before a citation say that it is none."""
    return _DENIED.search(before[-JUST_BEFORE:]) is not None


def is_missed(before: str) -> bool:
    """Whether the words before something that is named say that it is not there."""
    return _NONE_OF.search(before[-2 * JUST_BEFORE :]) is not None


def makes_it(around: str) -> bool:
    """Whether the statement speaks of making what it names."""
    return _MAKES.search(around) is not None
