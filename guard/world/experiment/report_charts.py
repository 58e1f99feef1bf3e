"""The four kinds of pictures in the report: lines, bars, a scatter and ranges, each a pure function of its numbers.

Error bars are the standard deviation over seeds, small dots are single seeds. A mark without error bar is one seed's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from guard.world.experiment import drawing
from guard.world.experiment.drawing import LABEL, WIDTH, Axis, Frame
from guard.world.experiment.report_figures import Value

_LEFT = 46.0
_HEIGHT = 230.0
_BELOW = 40.0
_MANY = 4
"""Series up to which single seeds are drawn; beyond, their dots hide each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a picture is called: a unique word, a title, a description that is read out."""

    name: str
    title: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A line or a colour of bars: figures at places along x, in order; None: not run."""

    name: str
    points: tuple[tuple[float, Value | None], ...]

    @property
    def there(self) -> list[tuple[float, Value]]:
        """What was run."""
        return [(x, value) for x, value in self.points if value is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A row of `ranges`: a middle, its ends, single seeds."""

    name: str
    middle: float
    ends: tuple[float, float]
    seeds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """A part of the x axis that is marked."""

    start: float
    end: float
    words: str


def lines(
    head: Head,
    x: Axis,
    y_label: str,
    series: Sequence[Series],
    *,
    shade: Shade | None = None,
    above: Axis | None = None,
) -> str:
    """Series over x, named at their last points; `above`: a second scale of x, along the upper edge."""
    drawn = [each for each in series if each.there]
    right = drawing.margin(each.name for each in drawn)
    top = 38.0 if above else 12.0
    frame = Frame(
        x=x, y=_shares(y_label, drawn), left=_LEFT, top=top, width=WIDTH - _LEFT - right, height=_tall(len(drawn))
    )
    marks = [*(_shaded(frame, shade) if shade else ()), *drawing.grid(frame), *(_above(frame, above) if above else ())]
    for number, each in enumerate(drawn):
        marks += _line(frame, each, number, 1.6 * (number - (len(drawn) - 1) / 2), seeds=len(drawn) <= _MANY)
    ends = [(*frame.at(each.there[-1][0], each.there[-1][1].mean), each.name, n) for n, each in enumerate(drawn)]
    marks += drawing.beside(frame, ends) if ends else drawing.empty(frame)
    return drawing.svg(head.name, head.title, head.description, frame.bottom + _BELOW, marks)


def _line(frame: Frame, series: Series, number: int, aside: float, *, seeds: bool) -> Iterator[str]:
    places = [(x, value, frame.at(x, value.mean)) for x, value in series.there]
    path = "L".join(f"{px + aside:g} {py:g}" for _, _, (px, py) in places)
    yield f'<path class="line c{number % drawing.SERIES} d{number % _MANY}" d="M{path}"/>'
    for x, value, (px, py) in places:
        if value.spread:
            low, high = (frame.at(x, value.mean + sign * value.spread)[1] for sign in (-1, 1))
            yield drawing.bar_of_error(((px + aside, low), (px + aside, high)), number)
        for seed in value.values if seeds and value.n > 1 else ():
            yield drawing.mark(px + aside + 5, frame.at(x, seed)[1], number, small=True)
        yield drawing.mark(px + aside, py, number)


def _shaded(frame: Frame, shade: Shade) -> Iterator[str]:
    left, right = (frame.at(x, 0)[0] for x in (shade.start, shade.end))
    if right > left:
        yield f'<rect class="shade" x="{left:g}" y="{frame.top:g}" width="{right - left:g}" height="{frame.height:g}"/>'
        yield drawing.text((left + right) / 2, frame.top + 14, shade.words, anchor="middle")


def _above(frame: Frame, above: Axis) -> Iterator[str]:
    ticks = drawing.spaced([(frame.at(value, 0)[0], words) for value, words in above.ticks])
    yield from (drawing.text(x, frame.top - 6, words, anchor="middle") for x, words in ticks)
    yield drawing.text(frame.left + frame.width / 2, frame.top - 21, above.label, anchor="middle")


def bars(head: Head, groups: Sequence[str], y_label: str, series: Sequence[Series]) -> str:
    """Groups of bars, one of each series; the x of a series' points is the number of the group."""
    key, top = drawing.legend([each.name for each in series], _LEFT, 0)
    x = Axis(label="", low=-0.5, high=len(groups) - 0.5, ticks=tuple((float(i), g) for i, g in enumerate(groups)))
    frame = Frame(
        x=x, y=_shares(y_label, series), left=_LEFT, top=top + 10, width=WIDTH - _LEFT - 8, height=_HEIGHT - 30
    )
    wide = 0.8 * frame.width / max(1, len(groups)) / max(1, len(series))
    marks = [*key, *drawing.grid(frame)]
    for number, each in enumerate(series):
        shift = (number - (len(series) - 1) / 2) * wide
        for place, value in each.points:
            marks += _bar(frame, place, value, number, shift, min(wide * 0.9, 40))
    _, zero = frame.at(0, 0)
    marks.append(drawing.rule(frame.left, zero, frame.right, zero, "zero"))
    return drawing.svg(head.name, head.title, head.description, frame.bottom + 22, marks)


def _bar(frame: Frame, place: float, value: Value | None, number: int, shift: float, wide: float) -> Iterator[str]:
    x, zero = frame.at(place, 0)
    x = round(x + shift, 1)
    if value is None:
        yield drawing.text(x, zero - 4, "–", anchor="middle")
        return
    _, y = frame.at(place, value.mean)
    sizes = f'x="{x - wide / 2:g}" y="{min(y, zero):g}" width="{wide:g}" height="{abs(zero - y):g}"'
    yield f'<rect class="bar c{number % drawing.SERIES}" {sizes}/>'
    yield drawing.mark(x, y, number)
    if value.spread:
        low, high = (frame.at(place, value.mean + sign * value.spread)[1] for sign in (-1, 1))
        yield drawing.bar_of_error(((x, low), (x, high)), number)
    for seed in value.values if value.n > 1 else ():
        yield drawing.mark(x + wide / 4, frame.at(place, seed)[1], number, small=True)


def scatter(head: Head, labels: tuple[str, str], points: Sequence[tuple[str, Value, Value]]) -> str:
    """Named (x, y) shares with error bars both ways and the diagonal; names stand in a column and are led to."""
    height = max(_HEIGHT, _tall(len(points)))
    x = drawing.axis(labels[0], _reach(value for _, value, _ in points), least=(0.0, 1.0))
    y = drawing.axis(labels[1], _reach(value for _, _, value in points), least=(0.0, 1.0))
    right = drawing.margin(name for name, _, _ in points)
    frame = Frame(x=x, y=y, left=_LEFT, top=12, width=WIDTH - _LEFT - right, height=height)
    low, high = max(x.low, y.low), min(x.high, y.high)
    marks = [*drawing.grid(frame), drawing.rule(*frame.at(low, low), *frame.at(high, high), "ideal")]
    at = [frame.at(across.mean, up.mean) for _, across, up in points]
    ends = [
        (*place, drawing.cut(name), number) for number, ((name, _, _), place) in enumerate(zip(points, at, strict=True))
    ]
    marks += drawing.beside(frame, ends) if ends else drawing.empty(frame)
    for number, (_, across, up) in enumerate(points):
        marks += _cross(frame, across, up, number)
    return drawing.svg(head.name, head.title, head.description, frame.bottom + _BELOW, marks)


def _cross(frame: Frame, across: Value, up: Value, number: int) -> Iterator[str]:
    x, y = frame.at(across.mean, up.mean)
    if across.spread:
        left, right = (frame.at(across.mean + sign * across.spread, 0)[0] for sign in (-1, 1))
        yield drawing.bar_of_error(((left, y), (right, y)), number)
    if up.spread:
        low, high = (frame.at(0, up.mean + sign * up.spread)[1] for sign in (-1, 1))
        yield drawing.bar_of_error(((x, low), (x, high)), number)
    yield drawing.mark(x, y, number)


def ranges(head: Head, label: str, rows: Sequence[Range], *, line: float | None = None) -> str:
    """A row each: middle, ends and single seeds along x; `line`: a value to compare them with."""
    left = 12 + drawing.LETTER * max((len(drawing.cut(row.name)) for row in rows), default=0)
    reach = [value for row in rows for value in (row.middle, *row.ends, *row.seeds)]
    x = drawing.axis(label, [*reach, *(() if line is None else (line,))])
    y = Axis(label="", low=0, high=1, ticks=())
    frame = Frame(x=x, y=y, left=left, top=6, width=WIDTH - left - 16, height=18.0 * max(1, len(rows)) + 8)
    marks = [*drawing.grid(frame), *([] if rows else drawing.empty(frame))]
    if line is not None:
        marks.append(drawing.rule(frame.at(line, 0)[0], frame.top, frame.at(line, 0)[0], frame.bottom, "zero"))
    for number, row in enumerate(rows):
        marks += _range(frame, row, frame.top + 13 + 18.0 * number)
    return drawing.svg(head.name, head.title, head.description, frame.bottom + _BELOW, marks)


def _range(frame: Frame, row: Range, y: float) -> Iterator[str]:
    yield drawing.text(frame.left - 6, y + 4, drawing.cut(row.name), anchor="end")
    start, end = (frame.at(value, 0)[0] for value in row.ends)
    if row.ends[0] < row.ends[1]:
        yield drawing.bar_of_error(((start, y), (end, y)), 0)
    yield from (drawing.mark(frame.at(seed, 0)[0], y - 5, 0, small=True) for seed in row.seeds)
    yield drawing.mark(frame.at(row.middle, 0)[0], y, 0)


def _shares(label: str, series: Sequence[Series]) -> Axis:
    """An axis from 0 over every mean and seed; for shares, to 1."""
    found = _reach(value for each in series for _, value in each.there)
    return drawing.axis(label, found, least=(0.0, 0.0 if found and min(found) < 0 else 1.0))


def _reach(values: Iterator[Value]) -> list[float]:
    return [number for value in values for number in (value.mean, *value.values)]


def _tall(labels: int) -> float:
    return max(_HEIGHT, LABEL * labels + 8)
