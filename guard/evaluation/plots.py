"""Two pictures of a sample, as standalone SVG: the precision-recall curve and the reliability diagram.

Written by hand: there is nothing in them that a drawing library would be needed for. Knows no files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from guard.evaluation.counting import is_right
from guard.evaluation.judged import Played
from guard.evaluation.ranking import Curve

_SIDE, _LEFT, _TOP, _WIDTH, _HEIGHT = 300, 56, 36, 380, 392
_BINS = 10
_POINTS = 400
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.grid{stroke:#ddd}.line{fill:none;stroke:#06c;stroke-width:2}"
    ".ideal{stroke:#999;stroke-dasharray:4 3}.dot{fill:#06c}"
)


def precision_recall(title: str, curve: Curve, point: tuple[float, float] | None) -> str:
    """The curve over examples; `point` is (recall, precision) at the policy's own thresholds, where it flags any."""
    places = list(zip(curve.recall.tolist(), curve.precision.tolist(), strict=True))
    shown = places[: -1 : max(1, len(places) // _POINTS)] + places[-1:]
    marks = [_line(shown)]
    if point is not None:
        room = point[0] < 0.8  # beside the point, inside the frame
        words = _text(*_at(*point), "policy", dx=8 if room else -8, dy=14, anchor="start" if room else "end")
        marks += [_dot(*point, 5), words]
    return _svg(title, "recall", "precision", marks)


def reliability(title: str, bins: Sequence[tuple[float, float, int]]) -> str:
    """Score against the share that is wrong, a dot for each of `score_bins`, larger where there are more segments."""
    most = max((count for _, _, count in bins), default=1)
    marks = ['<line class="ideal" x1="%g" y1="%g" x2="%g" y2="%g"/>' % (*_at(0, 0), *_at(1, 1))]
    marks += [_line([(score, share) for score, share, _ in bins])] if len(bins) > 1 else []
    marks += [_dot(score, share, 3 + 5 * (count / most) ** 0.5) for score, share, count in bins]
    return _svg(title, "score", "share wrong", marks)


def score_bins(played: Iterable[Played]) -> list[tuple[float, float, int]]:
    """(mean score, share wrong, segments) in each tenth of the score that has any. Segments of which no label says
    whether they are wrong are left out, and so are all of a wrong row that nobody says where it is wrong."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(_BINS)]
    for score, wrong in _labelled(played):
        bins[min(_BINS - 1, int(score * _BINS))].append((score, wrong))
    return [
        (sum(score for score, _ in found) / len(found), sum(wrong for _, wrong in found) / len(found), len(found))
        for found in bins
        if found
    ]


def _labelled(played: Iterable[Played]) -> Iterator[tuple[float, bool]]:
    for each in played:
        for segment in each.segments if each.row.located else ():
            wrong = is_right(each.row, (segment.start, segment.end))
            if wrong is not None:
                yield segment.score, wrong


def _at(x: float, y: float) -> tuple[float, float]:
    return round(_LEFT + x * _SIDE, 2), round(_TOP + (1 - y) * _SIDE, 2)


def _line(places: Iterable[tuple[float, float]]) -> str:
    return '<polyline class="line" points="%s"/>' % " ".join("%g,%g" % _at(*place) for place in places)


def _dot(x: float, y: float, radius: float) -> str:
    return '<circle class="dot" cx="%g" cy="%g" r="%.1f"/>' % (*_at(x, y), radius)


def _text(x: float, y: float, words: str, *, dx: float = 0, dy: float = 0, anchor: str = "start") -> str:
    return f'<text x="{x + dx:g}" y="{y + dy:g}" text-anchor="{anchor}">{escape(words)}</text>'


def _grid() -> Iterator[str]:
    for tick in range(6):
        share = tick / 5
        yield '<line class="grid" x1="%g" y1="%g" x2="%g" y2="%g"/>' % (*_at(share, 0), *_at(share, 1))
        yield '<line class="grid" x1="%g" y1="%g" x2="%g" y2="%g"/>' % (*_at(0, share), *_at(1, share))
        yield _text(*_at(share, 0), f"{share:g}", dy=16, anchor="middle")
        yield _text(*_at(0, share), f"{share:g}", dx=-8, dy=4, anchor="end")


def _svg(title: str, x: str, y: str, marks: Iterable[str]) -> str:
    middle = _LEFT + _SIDE / 2
    side = f'<text transform="translate(16 {_TOP + _SIDE / 2:g}) rotate(-90)" text-anchor="middle">{escape(y)}</text>'
    words = [
        _text(middle, 20, "".join(c if c.isprintable() else "?" for c in title), anchor="middle"),
        _text(middle, _TOP + _SIDE + 36, x, anchor="middle"),
        side,
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">'
    )
    body = [f"<style>{_STYLE}</style>", '<rect width="100%" height="100%" fill="#fff"/>', *_grid(), *words, *marks]
    return "\n".join([head, *body, "</svg>"]) + "\n"
