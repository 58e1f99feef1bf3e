"""Fields: statements that structured evidence contradicts or does not bear out.

Looks in JSON (also as Python prints it), tables (Markdown, CSV) and ``key: value`` lines among the evidence, tool
results, system and user messages. Catches: a thing said to be there where the record says no, null or nothing of the
kind, and one denied that is there ("free Wi-Fi" against ``"WiFi": "no"``); opening hours and days; numbers, short texts
and places beside the name of their field; strangers in a list that the record has; ratings and amounts from nowhere.

Cannot catch: a statement that does not name the field by its own words or by one of a few that mean the same anywhere;
what the record says in prose; a thing merely mentioned ("to debug this", "the admin can"); which of several records is
meant, unless the sentence names it (any that agrees clears the statement). Questions, conditions, hedges, calculations,
code, inventions that were asked for and "not specified" claim nothing; what is said to be somebody's opinion scores
lower. A correction and a quote come from evidence, tool and system text only. Answers `not_applicable` where there is
no structure, and where the segment says nothing of a field that can be told right from wrong; `clean` where the record
bears out what it says of one.

Costs about 0.2 ms a sentence, and once a context about 1 ms for 2,500 characters. Figures on 276 labelled descriptions
of businesses, the set it was developed on, both halves seen (each half of the contexts by hash in brackets): answers
ranked by their highest score AUROC 87 (90, 83); character-span F1 40 (43, 38) at 0.5; at 0.85 0.24 (0.30, 0.19) false
interruptions in 1,000 clean tokens and 84 of 184 faulty answers interrupted; at 0.5 0.48 and 126. No finding in 1,986
faultless answers on plain text; with records of other things beside them 0.04 interruptions in 1,000 tokens.

Rules: scores are by kind (`wrong.SCORES`): a contradiction 0.85 and more; a choice that the record leaves open, stated
either way, 0.75, worth a flag and no interruption; what stands nowhere 0.45 to 0.6. Each thing that others are said to
think, or that prose bears out, is taken down by 0.25.

The files: `document`, `records` (passages to fields), `naming`, `index` (fields by name), `statement` (what a sentence
says of a thing), `switches`, `numbers`, `values`, `listed` (what is wrong), `clock`, `opening`, `schedule` (hours),
`units`, `derived` (numbers meant otherwise),
`wrong` (findings).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from guard.checks import TEXT, Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.checks.fields.clock import name_of
from guard.checks.fields.index import Index, index
from guard.checks.fields.opening import opening
from guard.checks.fields.records import Structure, structure
from guard.checks.fields.schedule import contradicted
from guard.checks.fields.statement import statement
from guard.checks.fields.switches import judged_switches
from guard.checks.fields.values import judged_values
from guard.checks.fields.wrong import Wrong
from guard.core.claims import asks_for_invention, in_code, is_code
from guard.core.types import Channel, Finding, Segment

_OPEN = frozenset({"unclear day", "missing day"})
_NO_FIELD, _CODE = NotApplicable("no field"), NotApplicable("code")
_INVENTION = NotApplicable("the question asks for invention")
LONGEST = 4000
"""Characters of a segment that are looked at: no sentence is longer, and every number is held against every other."""


class Fields:
    """The check; it has no parameters."""

    version: ClassVar[str] = "1"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = TEXT

    class Params(CheckParams):
        """None."""

    def __init__(self, params: Any, resources: Resources) -> None:
        del params, resources

    def examine(self, segment: Segment, context: Context) -> Result:
        """One finding for each statement that the record contradicts or does not bear out."""
        looked_up = _index(context)
        if not looked_up.fields:
            return NotApplicable("no structured evidence")
        judged = list(_judged(segment.text[:LONGEST], looked_up))
        if not judged:
            return _NO_FIELD
        wrongs = sorted((wrong for wrong in judged if wrong is not None), key=lambda wrong: wrong.start)
        if wrongs and (why := _no_statement(segment, context)) is not None:
            return why
        return tuple(map(_finding, wrongs))


def _no_statement(segment: Segment, context: Context) -> NotApplicable | None:
    """That it is code, or said in answer to a request to make something up; asked only where something was found."""
    if is_code(segment.text) or in_code(other.text for other in context.kept if other.channel == segment.channel):
        return _CODE
    return _INVENTION if asks_for_invention(context.evidence) else None


def _index(context: Context) -> Index:
    found: Index | None = context.memo.get("index")
    if found is None:
        read = structure(context.evidence.passages)
        found = context.memo["index"] = index(read if read.fields else Structure((), (), ()))
    return found


def _judged(text: str, index: Index) -> Iterator[Wrong | None]:
    """The statements about fields: None for one that the record bears out."""
    said = statement(text)
    if said.is_question:
        return
    mentions = said.mentions()
    yield from judged_switches(said, mentions, index)
    yield from judged_values(said, mentions, index)
    yield from _judged_hours(text, index)


def _judged_hours(text: str, index: Index) -> Iterator[Wrong | None]:
    if not index.schedules:
        return
    for said in opening(text):
        found = [contradicted(said, schedule) for schedule in index.schedules]
        if not all(found):
            yield None
        elif found[0]:
            kind, day = found[0]
            field = index.schedules[0].fields.get(day)
            told = str(field.value) if field and kind not in _OPEN else ""
            yield Wrong(kind, said.start, said.end, field, name_of(day), text[said.start : said.end], told)


def _finding(wrong: Wrong) -> Finding:
    return Finding(
        score=wrong.score,
        reason=wrong.reason,
        correction=wrong.correction,
        evidence="" if wrong.field is None or wrong.field.is_users else wrong.field.quote,
        subject=wrong.label,
        start=wrong.start,
        end=wrong.end,
    )


plugin = Fields
