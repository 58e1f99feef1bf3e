"""How well scores of segments find unsupported answers, for `guard.train.grounding`.

Knows labels and scores, not texts. Every figure weighs answers so that the share of bad ones is the natural one. An
answer's score is its segments' largest. A segment is bad if it shares a character with a labelled span.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from guard.train.grounding_data import Answer, Example

TOKEN = re.compile(r"\w+|[^\w\s]")
Floats = NDArray[np.float64]


def auroc(labels: Sequence[bool] | NDArray[np.bool_], scores: Sequence[float] | Floats) -> float:
    """The chance that a bad one scores higher than a good one; 0.5 where there is only one kind."""
    y, s = np.array(labels, bool), np.array(scores, np.float64)
    if y.all() or not y.any():
        return 0.5
    _, inverse, counts = np.unique(s, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = ((ends - counts + 1 + ends) / 2)[inverse]
    good = int((~y).sum())
    bad = len(y) - good
    return float((ranks[y].sum() - bad * (bad + 1) / 2) / (bad * good))


@dataclass(slots=True)
class Scored:
    """Answers with the scores of their segments."""

    answers: Sequence[Answer]
    rows: Sequence[Example]
    scores: Sequence[float]
    weights: Sequence[float]

    def of(self, source: str) -> Scored:
        """Only those of one file."""
        at = [i for i, row in enumerate(self.rows) if self.answers[row.answer].source == source]
        return Scored(self.answers, [self.rows[i] for i in at], [self.scores[i] for i in at], self.weights)

    def by_answer(self) -> Iterator[tuple[int, list[tuple[Example, float]]]]:
        """Answers in order, each with its rows and their scores."""
        found: dict[int, list[tuple[Example, float]]] = {}
        for row, score in zip(self.rows, self.scores, strict=True):
            found.setdefault(row.answer, []).append((row, score))
        yield from found.items()


def measure(scored: Scored) -> dict[str, float]:
    """AUROC of answers and segments, best F1 of answers and of spans' characters, all in per cent, with thresholds."""
    found = list(scored.by_answer())
    tops = [max(score for _, score in rows) for _, rows in found]
    bad = [scored.answers[at].bad for at, _ in found]
    weights = [scored.weights[at] for at, _ in found]
    f1, at = best_f1(tops, weights, [w * b for w, b in zip(weights, bad, strict=True)])
    span, span_at = _span_f1(scored)
    claims = [i for i, row in enumerate(scored.rows) if row.claim]
    return {
        "auroc": _percent(auroc(bad, tops)),
        "balanced": _percent(_balanced(tops, bad)),
        "segment_auroc": _percent(auroc([row.bad for row in scored.rows], scored.scores)),
        "claim_auroc": _percent(auroc([scored.rows[i].bad for i in claims], [scored.scores[i] for i in claims])),
        "f1": _percent(f1),
        "f1_at": round(at, 3),
        "span_f1": _percent(span),
        "span_at": round(span_at, 3),
    }


def interval(scored: Scored, resamples: int = 200) -> dict[str, list[float]]:
    """95 % intervals of three of `measure`'s figures, over draws of sources with all of their answers."""
    found = list(scored.by_answer())
    tops = np.array([max(score for _, score in rows) for _, rows in found])
    bad = np.array([scored.answers[at].bad for at, _ in found])
    weights = np.array([scored.weights[at] for at, _ in found])
    sources = {name: i for i, name in enumerate(dict.fromkeys(scored.answers[at].group for at, _ in found))}
    source = np.array([sources[scored.answers[at].group] for at, _ in found])
    place = {at: i for i, (at, _) in enumerate(found)}
    of_row = np.array([place[row.answer] for row in scored.rows])
    sizes, right = (np.array(values) for values in _lengths(scored))
    rng, drawn = np.random.default_rng(0), []
    for _ in range(resamples):
        times = np.bincount(rng.integers(0, len(sources), len(sources)), minlength=len(sources))[source]
        f1, _at = best_f1(tops, weights * times, weights * times * bad)
        span, _at = best_f1(scored.scores, sizes * times[of_row], right * times[of_row])
        drawn.append((auroc(np.repeat(bad, times), np.repeat(tops, times)), f1, span))
    low, high = np.percentile(np.array(drawn), (2.5, 97.5), axis=0)
    return {n: [_percent(x), _percent(y)] for n, x, y in zip(("auroc", "f1", "span_f1"), low, high, strict=True)}


def _percent(value: float) -> float:
    return round(100 * value, 1)


def best_f1(
    scores: Sequence[float] | Floats, sizes: Sequence[float] | Floats, right: Sequence[float] | Floats
) -> tuple[float, float]:
    """The best F1 over thresholds and where; `sizes` is what flagging each costs, `right` how much of it is right."""
    order = np.argsort(-np.array(scores, np.float64), kind="stable")
    s, size, hit = (np.array(values, np.float64)[order] for values in (scores, sizes, right))
    f1 = 2 * np.cumsum(hit) / (np.cumsum(size) + hit.sum())
    f1[:-1][s[:-1] == s[1:]] = 0.0  # a threshold cannot stand between equal scores
    best = int(np.argmax(f1))
    return float(f1[best]), float(s[best])


def _balanced(scores: Sequence[float], bad: Sequence[bool]) -> float:
    """The best balanced accuracy over thresholds: the mean of what is found of bad ones and left of good ones."""
    s, y = np.array(scores, np.float64), np.array(bad, bool)
    if y.all() or not y.any():
        return 0.5
    best = max((float((s[y] >= at).mean() + (s[~y] < at).mean()) for at in np.unique(s)), default=1.0)
    return best / 2


def _span_f1(scored: Scored) -> tuple[float, float]:
    return best_f1(scored.scores, *_lengths(scored))


def _lengths(scored: Scored) -> tuple[list[float], list[float]]:
    """The characters of each row, and how many of them are labelled wrong, both weighted."""
    sizes, right = [], []
    for row in scored.rows:
        weight = scored.weights[row.answer]
        spans = scored.answers[row.answer].spans
        sizes.append(weight * (row.end - row.start))
        right.append(weight * sum(max(0, min(row.end, b) - max(row.start, a)) for a, b in spans))
    return sizes, right


def streaming(scored: Scored, most: float) -> dict[str, float]:
    """What interrupting at the lowest threshold with at most `most` false interruptions per 1,000 clean tokens does.

    `caught`: bad answers with an interruption at or behind the first bad segment; `exact`: in the first bad one;
    `clean_hit`: good answers with one, all in per cent; `delay`: median tokens from a span's start to the segment's
    end.
    """
    threshold = _threshold(scored, most)
    caught = exact = bad = clean_hit = clean = 0.0
    delays = []
    for at, rows in scored.by_answer():
        answer, weight = scored.answers[at], scored.weights[at]
        flagged = [row for row, score in rows if score >= threshold]
        if not answer.bad:
            clean += weight
            clean_hit += weight * bool(flagged)
            continue
        bad += weight
        first = next((row for row, _ in rows if row.bad), None)
        after = [row for row in flagged if first is not None and row.start >= first.start]
        caught += weight * bool(after)
        exact += weight * (first in after)
        delays += [_delay(answer, row) for row in after[:1] if row.bad]
    return {
        "at": round(threshold, 3),
        "false_per_1000": round(_false_rate(scored, threshold), 2),
        "caught": _percent(caught / bad),
        "exact": _percent(exact / bad),
        "clean_hit": _percent(clean_hit / clean),
        "delay": float(np.median(delays)) if delays else 0.0,
    }


def _delay(answer: Answer, row: Example) -> int:
    start = min((a for a, b in answer.spans if a < row.end and b > row.start), default=row.start)
    return len(TOKEN.findall(answer.text[max(start, row.start) : row.end]))


def _clean(scored: Scored) -> tuple[Floats, Floats, float]:
    """Scores and weights of clean segments, and the weight of clean tokens in thousands."""
    scores, weights, tokens = [], [], 0.0
    for row, score in zip(scored.rows, scored.scores, strict=True):
        if not row.bad:
            weight = scored.weights[row.answer]
            scores.append(score)
            weights.append(weight)
            tokens += weight * len(TOKEN.findall(scored.answers[row.answer].text[row.start : row.end]))
    return np.array(scores), np.array(weights), tokens / 1000


def _threshold(scored: Scored, most: float) -> float:
    scores, weights, thousands = _clean(scored)
    order = np.argsort(-scores)
    within = int(np.searchsorted(np.cumsum(weights[order]) / thousands, most, side="right"))
    return float(scores[order[within]]) + 1e-6 if within < len(scores) else 0.0


def _false_rate(scored: Scored, threshold: float) -> float:
    scores, weights, thousands = _clean(scored)
    return float(weights[scores >= threshold].sum() / thousands)


def reliability(
    scored: Scored, edges: Sequence[float] = (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1.01)
) -> list[list[float]]:
    """For each band of scores: its lower edge, mean score, share that is bad, and count."""
    out = []
    for low, high in pairwise(edges):
        at = [i for i, score in enumerate(scored.scores) if low <= score < high and scored.rows[i].claim]
        weight = sum(scored.weights[scored.rows[i].answer] for i in at)
        if weight:
            mean = sum(scored.scores[i] * scored.weights[scored.rows[i].answer] for i in at) / weight
            share = sum(scored.weights[scored.rows[i].answer] for i in at if scored.rows[i].bad) / weight
            out.append([low, round(mean, 3), round(share, 3), len(at)])
    return out
