"""What a sentence says about opening hours, for `guard.checks.fields`: on which days, from when, until when.

It knows no record. "11 am to 9 pm on weekdays and until 10 pm on Friday" is two statements. Where a sentence names one
day and, for the others, a wider set, the wider one does not speak of the day. Rules: times go with the days before
them where the sentence begins with days, else with those behind; sentences about happy hours or meals, and those whose
times cannot be paired with days, say nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from guard.checks.fields.clock import TIME, Open, day_of, minutes, said_range

_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:days?)?\b\.?"
_TO = r"\s*(?:-|–|—|to|through|thru|until|till)\s*"
_TOKEN = re.compile(
    rf"\b(?P<span>{_DAY}){_TO}(?P<last>{_DAY})|\b(?P<day>{_DAY})"
    r"|\b(?P<all>every ?day(?: of the week)?|daily|(?:seven|7) days (?:a|per) week|all week(?: long)?|each day|24/7)\b"
    r"|\b(?P<weekdays>weekdays)\b|\b(?P<weekends>(?:the )?weekends?)\b"
    rf"|\b(?:opens?|opening) at\s+(?P<opens>{TIME})\s+and\s+clos(?:es?|ing) at\s+(?P<closes>{TIME})"
    rf"|\b(?P<from>{TIME})\s*(?:-|–|—|to|until|till|through|and)\s*(?P<to>{TIME})"
    rf"|\b(?:until|till|closes? at|closing at)\s+(?P<until>{TIME})|\b(?:opens? at|opening at)\s+(?P<at>{TIME})"
    r"|\b(?P<closed>closed|not open|break)\b"
    r"|\b(?P<except>except(?:ing)?(?: for)?(?: on)?|excluding|with the exception of)\b"
    r"|\b(?P<longer>(?:extended|longer|later)(?: \w+)? (?:on|during|over) (?:the )?weekends?)\b",
    re.IGNORECASE,
)
_ABOUT = re.compile(r"\b(?:open(?:s|ed|ing)?|hours?|operat\w+|clos(?:es?|ed|ing))\b", re.IGNORECASE)
_ELSE = re.compile(
    r"\b(?:happy hours?|brunch|breakfast|lunch|dinner|reviewers?|customers? (?:who|said)|delivery until|kitchen|if|may"
    r"|should|check|was|were|used to|rooms?|check-?in|class(?:es)?)\b",
    re.IGNORECASE,
)
_VARY = re.compile(
    r"\b(?:var(?:y|ies|ying|iable)|differ\w*|depending|different|some days|most days|typically)\b", re.IGNORECASE
)
_RANGING = re.compile(r"\b(?:var|rang)\w+\s+(?:between|from)\s*$", re.IGNORECASE)
_LIST = re.compile(r"[\s,]*(?:and|&|or|as well as)?[\s,]*(?:on\s+)?", re.IGNORECASE)
ALL, WEEKDAYS, WEEKEND = frozenset(range(7)), frozenset(range(5)), frozenset({5, 6})


@dataclass(frozen=True, slots=True)
class Said:
    """One statement: on these days (empty: no days were named) it is open, in these hours; `longer`: weekends have
    longer hours than the other days. `is_loose`: other times may hold on some of the days."""

    days: frozenset[int]
    hours: Open | None
    start: int
    end: int
    is_closed: bool = False
    longer: bool = False
    is_loose: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    kind: str
    start: int
    end: int
    days: frozenset[int] = frozenset()
    hours: Open | None = None


def opening(text: str) -> list[Said]:
    """The statements about opening hours in a sentence."""
    if _ELSE.search(text):
        return []
    found = [found for found in _TOKEN.finditer(text) if not _RANGING.search(text, 0, found.start())]
    parts = _merged(text, [part for one in found if (part := _part(one)) is not None])
    kinds = [part.kind for part in parts]
    if not parts or not (_ABOUT.search(text) or {"days", "hours"} <= set(kinds)):
        return []
    longer = [Said(WEEKEND, None, p.start, p.end, longer=True) for p in parts if p.kind == "longer"]
    return longer + _paired(text, [p for p in parts if p.kind != "longer"], bool(longer))


def _part(found: re.Match[str]) -> _Part | None:
    start, end = found.span()
    if found["span"]:
        first, last = day_of(found["span"]), day_of(found["last"])
        return None if first is None or last is None else _Part("days", start, end, _span(first, last))
    if found["day"]:
        day = day_of(found["day"])
        return None if day is None else _Part("days", start, end, frozenset({day}))
    for kind, days in (("all", ALL), ("weekdays", WEEKDAYS), ("weekends", WEEKEND)):
        if found[kind]:
            return _Part("days", start, end, days)
    for kind in ("closed", "longer", "except"):
        if found[kind]:
            return _Part(kind, start, end)
    hours = _hours(found)
    return None if hours is None else _Part("hours", start, end, hours=hours)


def _hours(found: re.Match[str]) -> Open | None:
    if found["opens"]:
        return said_range(found["opens"], found["closes"])
    if found["from"]:
        is_time = re.search(r"[ap]\.?m|:|noon|midnight", found[0], re.IGNORECASE)
        return said_range(found["from"], found["to"]) if is_time else None
    if found["until"]:
        return Open(frozenset(), _either(found["until"]))
    return Open(_either(found["at"]), frozenset())


def _either(written: str) -> frozenset[int]:
    one = said_range(written, written)
    return one.opens if one else minutes(written)


def _span(first: int, last: int) -> frozenset[int]:
    return frozenset((first + n) % 7 for n in range((last - first) % 7 + 1))


def _merged(text: str, parts: list[_Part]) -> list[_Part]:
    merged: list[_Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if last and last.kind == part.kind == "days" and _LIST.fullmatch(text, last.end, part.start):
            merged[-1] = _Part("days", last.start, part.end, last.days | part.days)
        else:
            merged.append(part)
    return merged


def _paired(text: str, parts: list[_Part], is_loose: bool) -> list[Said]:
    varies = bool(_VARY.search(text)) or is_loose
    days = [part for part in parts if part.kind == "days"]
    hours = [part for part in parts if part.kind == "hours"]
    closed = [number for number, part in enumerate(parts) if part.kind == "closed" or _is_left_out(parts, number)]
    shut = {id(near) for number in closed if (near := _beside(parts, number)) is not None}
    opened = [part for part in days if id(part) not in shut]
    said = [Said(p.days, None, p.start, p.end, is_closed=True) for p in days if id(p) in shut and _is_shut(text, p)]
    if hours and not opened:
        if len(hours) == 1:
            said.append(Said(frozenset(), hours[0].hours, hours[0].start, hours[0].end, is_loose=varies or bool(shut)))
        return said
    used: set[int] = set()
    for part in hours:
        with_days = _days_of(part, parts, opened)
        if with_days is not None:
            used.add(id(with_days))
            said.append(_said(with_days, part, days, varies))
    alone = [part for part in opened if id(part) not in used and (len(days) == 1 or part.days != ALL)]
    return said + [_said(part, None, days, varies) for part in alone]


def _is_left_out(parts: list[_Part], number: int) -> bool:
    """Whether the days behind an "except" have no hours of their own."""
    kinds = [part.kind for part in parts[number : number + 3]]
    return kinds[:2] == ["except", "days"] and kinds[2:] != ["hours"]


def _is_shut(text: str, part: _Part) -> bool:
    return re.search(r"\bclosed\b|\bnot open\b", text, re.IGNORECASE) is not None and not re.search(
        r"closed (?:down|permanently|its)|temporarily|recently closed|has closed", text, re.IGNORECASE
    )


def _beside(parts: list[_Part], number: int) -> _Part | None:
    after = parts[number + 1] if number + 1 < len(parts) else None
    before = parts[number - 1] if number else None
    return next((p for p in (after, before) if p is not None and p.kind == "days"), None)


def _days_of(part: _Part, parts: list[_Part], opened: list[_Part]) -> _Part | None:
    at = next(number for number, other in enumerate(parts) if other is part)
    first = next(other for other in parts if other.kind in ("days", "hours"))
    near = [p for p in parts[:at] if p in opened], [p for p in parts[at + 1 : at + 2] if p in opened]
    if first.kind == "hours":
        return next(iter(near[1] or near[0][-1:]), None)
    return next(iter(near[0][-1:] or near[1]), None)


def _said(with_days: _Part, part: _Part | None, days: list[_Part], varies: bool) -> Said:
    # "every day ..., except Friday" does not speak of Friday where times are given.
    other = frozenset[int]().union(*(p.days for p in days if p is not with_days and len(p.days) < len(with_days.days)))
    left = with_days.days - other if part else with_days.days
    start = min(with_days.start, part.start) if part else with_days.start
    end = max(with_days.end, part.end) if part else with_days.end
    return Said(left or with_days.days, part.hours if part else None, start, end, is_loose=varies)
