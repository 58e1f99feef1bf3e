"""What the report's pictures are made of: axes, a frame, marks and labels, as hand-written SVG.

Pure functions of numbers and words. Colours are classes that the page's style sheet fills in, for light and dark; a
series also has a mark and a dash of its own. Every text is escaped; nothing is placed outside its picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Anchor = Literal["start", "middle", "end"]
WIDTH = 420
LETTER = 6.6
"""Pixels that a letter of a label takes at most, on average."""

LABEL = 13.0
"""Pixels between the base lines of two labels."""

LONGEST = 26
"""Letters of a label; what is longer is cut."""

SERIES = 8
"""Colours."""

_MARKS = (
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0",
    "M-3 -3h6v6h-6z",
    "M0 -4L4 3H-4z",
    "M0 -4.3L4.3 0L0 4.3L-4.3 0z",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """From `low` to `high`, with (place, label) ticks."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def share(self, value: float) -> float:
        """Where a value lies, 0..1; what is outside lies on the edge."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The rectangle that the axes span, in pixels."""

    x: Axis
    y: Axis
    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.top + self.height

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a point."""
        return round(self.left + self.x.share(x) * self.width, 1), round(self.bottom - self.y.share(y) * self.height, 1)


def axis(label: str, values: Iterable[float], *, least: tuple[float, float] | None = None) -> Axis:
    """An axis with round ticks over the values, and over `least` whatever they are."""
    found = [*values, *(least or ())] or [0.0, 1.0]
    low, high = min(found), max(found)
    if high - low < 1e-9 * max(1.0, abs(low)):
        low, high = low - max(1.0, abs(low)) / 2, high + max(1.0, abs(high)) / 2
    step = _round((high - low) / 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple((number * step, f"{number * step:.6g}") for number in range(first, last + 1))
    return Axis(label=label, low=ticks[0][0], high=ticks[-1][0], ticks=ticks)


def _round(step: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return power * next((size for size in (1, 2, 5) if size * power >= step * 0.999), 10)


def grid(frame: Frame) -> Iterator[str]:
    """Lines, tick labels and names of both axes; tick labels of x that would touch are left out."""
    for value, words in frame.y.ticks:
        _, y = frame.at(0, value)
        yield rule(frame.left, y, frame.right, y)
        yield text(frame.left - 6, y + 4, words, anchor="end")
    fitting = spaced([(frame.at(value, 0)[0], words) for value, words in frame.x.ticks])
    for x, words in fitting:
        yield rule(x, frame.top, x, frame.bottom)
        yield text(x, frame.bottom + 15, words, anchor="middle")
    if frame.x.label:
        yield text(frame.left + frame.width / 2, frame.bottom + 31, frame.x.label, anchor="middle")
    middle = frame.top + frame.height / 2
    if frame.y.label:
        turned = f"translate(12 {middle:g}) rotate(-90)"
        yield f'<text transform="{turned}" text-anchor="middle">{_words(frame.y.label)}</text>'


def spaced(labels: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Those of the (middle, words) labels on a line that do not touch the one kept before."""
    kept: list[tuple[float, str]] = []
    end = -math.inf
    for middle, words in sorted(labels):
        half = len(words) * LETTER / 2
        if middle - half > end:
            kept.append((middle, words))
            end = middle + half + 2
    return kept


def apart(wanted: Sequence[float], low: float, high: float, gap: float = LABEL) -> list[float]:
    """The places nearest to the wanted ones (least squares), in their order, at least `gap` apart, within the ends.

    The caller leaves room: (n - 1) * gap <= high - low. Isotonic regression: neighbours too near share their mean.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[tuple[float, int]] = []
    for rank, i in enumerate(order):
        total, size = wanted[i] - rank * gap, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / size:
            before, many = blocks.pop()
            total, size = total + before, size + many
        blocks.append((total, size))
    last = high - (len(order) - 1) * gap
    free = [min(last, max(low, total / size)) for total, size in blocks for _ in range(size)]
    found = dict(zip(order, (round(place + rank * gap, 1) for rank, place in enumerate(free)), strict=True))
    return [found[i] for i in range(len(wanted))]


def beside(frame: Frame, ends: Sequence[tuple[float, float, str, int]]) -> Iterator[str]:
    """Labels in a column right of the frame, each led to its (x, y) pixel; (x, y, words, series)."""
    places = apart([y for _, y, _, _ in ends], frame.top + 4, frame.bottom - 2)
    for (x, y, words, number), place in zip(ends, places, strict=True):
        yield f'<path class="lead" d="M{x + 4:g} {y:g}L{frame.right + 8:g} {place:g}"/>'
        yield mark(frame.right + 14, place, number)
        yield text(frame.right + 21, place + 4, words)


def empty(frame: Frame) -> Iterator[str]:
    """What stands in a frame that has no marks."""
    yield text(frame.left + frame.width / 2, frame.top + frame.height / 2, "not run", anchor="middle")


def margin(names: Iterable[str]) -> float:
    """Pixels that `beside` needs for these labels."""
    return 24 + LETTER * max((len(cut(name)) for name in names), default=0)


def legend(names: Sequence[str], left: float, top: float) -> tuple[list[str], float]:
    """A key to series in lines above a picture, and the pixels it takes."""
    marks, x, y = [], left, top + 8
    for number, name in enumerate(names):
        wide = 26 + LETTER * len(cut(name))
        if x > left and x + wide > WIDTH:
            x, y = left, y + 16
        marks += [mark(x + 5, y, number), text(x + 13, y + 4, name)]
        x += wide
    return marks, y + 12 - top


def mark(x: float, y: float, number: int, *, small: bool = False) -> str:
    """A point of a series, in its colour and shape; `small`: one seed's."""
    if small:
        return f'<circle class="seed c{number % SERIES}" cx="{x:g}" cy="{y:g}" r="1.7"/>'
    shape = _MARKS[number % len(_MARKS)]
    return f'<path class="mark c{number % SERIES}" transform="translate({x:g} {y:g})" d="{shape}"/>'


def bar_of_error(ends: tuple[tuple[float, float], tuple[float, float]], number: int) -> str:
    """A line between two pixels, with a cap at each end across it."""
    (x1, y1), (x2, y2) = ends
    caps = f"M{x1 - 3:g} {y1:g}h6M{x2 - 3:g} {y2:g}h6" if x1 == x2 else f"M{x1:g} {y1 - 3:g}v6M{x2:g} {y2 - 3:g}v6"
    return f'<path class="error c{number % SERIES}" d="M{x1:g} {y1:g}L{x2:g} {y2:g}{caps}"/>'


def rule(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> str:
    """A straight line."""
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def text(x: float, y: float, words: str, *, anchor: Anchor = "start") -> str:
    """A label."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{_words(cut(words, 60))}</text>'


def cut(words: str, longest: int = LONGEST) -> str:
    """A label that is not too long."""
    return words if len(words) <= longest else words[: longest - 1] + "…"


def svg(name: str, title: str, description: str, height: float, marks: Iterable[str]) -> str:
    """A picture. `name`: a word, unique on its page; title and description are read out."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" viewBox="0 0 {WIDTH} {height:g}" '
        f'aria-labelledby="{name}-title {name}-desc">'
    )
    words = f'<title id="{name}-title">{_words(title)}</title><desc id="{name}-desc">{_words(description)}</desc>'
    return "\n".join([head, words, *marks, "</svg>"])


def printable(words: str) -> str:
    """Without what a page cannot show: control characters, lone surrogates, marks that turn the reading direction."""
    return "".join(c if c.isprintable() else " " for c in words)


def _words(words: str) -> str:
    return escape(printable(words))
