"""Opening hours in a record, and what a sentence says against them, for `guard.checks.fields`.

It knows fields and `opening.Said`; no scores of the policy. A day that the record does not list may be closed or left
out, and "0:0-0:0" may mean either, so a statement that only such days contradict is doubtful.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from guard.checks.fields.clock import CLOSED, DAY, Open, day_of, hours
from guard.checks.fields.opening import ALL, Said
from guard.checks.fields.records import Field
from guard.checks.fields.wrong import Kind

_ENDS = {"open": 0, "opens": 0, "start": 0, "from": 0, "close": 1, "closes": 1, "end": 1, "to": 1}
SURE: Kind = "hours"
LIKELY: Kind = "some hours"


@dataclass(frozen=True, slots=True)
class Schedule:
    """The hours of each day that can be told; `unclear` days are listed and cannot be."""

    days: Mapping[int, Open]
    unclear: frozenset[int]
    fields: Mapping[int, Field]

    @property
    def open_days(self) -> frozenset[int]:
        """The days that have hours."""
        return frozenset(day for day, hour in self.days.items() if not hour.is_closed)

    @property
    def missing(self) -> frozenset[int]:
        """The days that are not listed."""
        return ALL - self.days.keys() - self.unclear


def schedules(fields: Iterable[Field]) -> tuple[Schedule, ...]:
    """The schedules among the fields: three or more days beside each other."""
    groups: dict[tuple[int, tuple[str, ...]], dict[int, list[Field]]] = {}
    for field in fields:
        for depth in (1, 2):
            if len(field.path) >= depth and (day := day_of(field.path[-depth])) is not None:
                groups.setdefault((field.record, field.path[:-depth]), {}).setdefault(day, []).append(field)
    return tuple(_schedule(days) for days in groups.values() if len(days) > 2)


def _schedule(days: Mapping[int, list[Field]]) -> Schedule:
    read = {day: _read(fields) for day, fields in days.items()}
    known = {day: hour for day, hour in read.items() if hour is not None}
    return Schedule(known, frozenset(days.keys() - known.keys()), {day: fields[0] for day, fields in days.items()})


def _read(fields: list[Field]) -> Open | None:
    if len(fields) == 1:
        return hours(fields[0].value) if isinstance(fields[0].value, str) else None
    ends = {_ENDS.get(field.path[-1].lower()): field.value for field in fields}
    return hours(f"{ends[0]}-{ends[1]}") if {0, 1} <= ends.keys() else None


def contradicted(said: Said, schedule: Schedule) -> tuple[Kind, int] | None:
    """How surely the schedule contradicts it, and the day that does; None where it does not."""
    if said.longer:
        return _not_longer(schedule)
    if said.is_closed:
        days = sorted(day for day in said.days & schedule.days.keys() if not schedule.days[day].is_closed)
        return (SURE, days[0]) if days else None
    if said.hours is None:
        return _shut(said.days, schedule)
    days = sorted(said.days & schedule.days.keys() if said.days else schedule.open_days)
    wrong = [day for day in days if not _agrees(said.hours, schedule.days[day])]
    if not wrong:
        return _shut(said.days, schedule)
    if len(wrong) == len(days):
        return SURE, wrong[0]
    return None if said.is_loose or (not said.days and len(wrong) < len(days)) else (LIKELY, wrong[0])


def _shut(days: frozenset[int], schedule: Schedule) -> tuple[Kind, int] | None:
    shut = sorted(day for day in days & schedule.days.keys() if schedule.days[day].is_closed)
    if shut:
        return SURE, shut[0]
    if not schedule.days or not days & (schedule.missing | schedule.unclear):
        return None
    unclear = sorted(days & schedule.unclear)
    return ("unclear day", unclear[0]) if unclear else ("missing day", min(days & schedule.missing))


def _agrees(said: Open, true: Open) -> bool:
    if true.is_closed:
        return False
    return (not said.opens or bool(said.opens & true.opens)) and (not said.closes or bool(said.closes & true.closes))


def _length(day: Open) -> int:
    return (min(day.closes) - min(day.opens)) % DAY or DAY


def _not_longer(schedule: Schedule) -> tuple[Kind, int] | None:
    usual = [_length(schedule.days[day]) for day in range(4) if day in schedule.days and schedule.days[day] != CLOSED]
    weekend = {day: schedule.days[day] for day in (4, 5, 6) if day in schedule.days}
    if not usual or not weekend or any(_length(day) > min(usual) for day in weekend.values() if not day.is_closed):
        return None
    return SURE, max(weekend)
