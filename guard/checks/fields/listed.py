"""Things that a sentence counts up and that stand nowhere in the evidence, for `guard.checks.fields`.

"The allergens are milk and soy", "the menu includes burgers, falafel and salads": each item's telling words are looked
for, as stems, in all that the evidence says, keys and prose included. Where the sentence counts up a list of the record
by its name, a stranger in it contradicts the record; a record is never complete, so elsewhere this is the weakest kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from guard.checks.fields.index import BEGINNING, Index
from guard.checks.fields.naming import stem
from guard.checks.fields.records import Field
from guard.checks.fields.statement import WORD, Mention, Statement
from guard.checks.fields.wrong import Wrong

_LEAD = re.compile(
    r"\b(?:offer(?:s|ing)?|serv(?:es?|ing)|includ(?:es?|ing)|such as|featur(?:es?|ing)|options for|speciali[sz]\w+ in"
    r"|(?:variety|selection|range) of)\b",
    re.IGNORECASE,
)
_STOP = re.compile(
    r"[.;:!?\n]|\b(?:but|while|although|though|however|which|that|who|where|making|according|because)\b", re.IGNORECASE
)
_PART = re.compile(r",|\band\b|\bor\b|\bas well as\b|\bwith\b|\bincluding\b|\bsuch as\b", re.IGNORECASE)
_PLAIN = frozenset(
    map(
        stem,
        "a an the and or of for to in on at by with from its their his her it they this these those other more"
        " most many some several various variety wide range options option selection dishes dish items item food"
        " foods menu choices choice services service delicious fresh tasty great good excellent friendly quality"
        " high low unique popular both all also different diverse extensive customers customer guests guest"
        " experience dining restaurant business establishment place spot location local casual cozy atmosphere"
        " ambiance ambience setting comfortable convenient convenience amenities amenity features facilities well"
        " known favorite overall perfect ideal such as like including is are was were be has have offers serves"
        " meals meal staff star stars rating mixed reviews review positive negative available availability locals"
        " visitors everyone people looking cuisine cuisines flavors flavorful enjoy make making area dedicated"
        " multiple additional new any every one two three four five free indoor dine drink welcoming attentive"
        " ingredients focus pleasant blend".split(),
    )
)


_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|do|does|did|can|will|suggest|appears?|received?|receiving|enhanc\w+|ranging|not)\b",
    re.IGNORECASE,
)
_TELLS = re.compile(r"\s*(?:\bare\b|\bis\b|\bincludes?\b|\bincluding\b|\bsuch as\b|:)\s*", re.IGNORECASE)


def judged_lists(said: Statement, mentions: Sequence[Mention], index: Index) -> Iterator[Wrong | None]:
    """The first thing of each enumeration that stands nowhere; None where a list of the record is counted up without
    one."""
    at = 0
    for mention in mentions:
        fields = [field for field in index.values.get(mention.name, ()) if field.in_list or _is_list(field)]
        tells = _TELLS.match(said.text, mention.end) if fields and mention.end > at else None
        if tells is None:
            continue
        if (item := _first(said.text, tells.end(), index)) is None:
            yield None
        else:
            at = item[1]
            told = ", ".join(str(field.value) for field in fields)
            yield Wrong("member", *item, fields[0], fields[0].path[-1], said.text[slice(*item)], told)
    while lead := _LEAD.search(said.text, at):
        at = _stop(said.text, lead.end())
        if item := _first(said.text, lead.end(), index):
            yield Wrong("item", *item, None, "item", said.text[slice(*item)], "")


def _is_list(field: Field) -> bool:
    return isinstance(field.value, str) and "," in field.value


def _stop(text: str, start: int) -> int:
    stop = _STOP.search(text, start)
    return stop.start() if stop else len(text)


def _first(text: str, start: int, index: Index) -> tuple[int, int] | None:
    """The first of the things counted up from `start` that stands nowhere."""
    for first, last in _parts(text, start, _stop(text, start)):
        item = text[first:last]
        words = [stem(word) for word in WORD.findall(item) if len(word) > 2]
        telling = [word for word in words if word not in _PLAIN]
        if 0 < len(telling) <= 3 and not _VERB.search(item) and not any(_is_known(word, index) for word in telling):
            gap = len(item) - len(item.lstrip())
            return first + gap, first + len(item.rstrip())
    return None


def _parts(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for found in _PART.finditer(text, start, end):
        yield start, found.start()
        start = found.end()
    yield start, end


def _is_known(word: str, index: Index) -> bool:
    return word in index.known or word[:BEGINNING] in index.beginnings
