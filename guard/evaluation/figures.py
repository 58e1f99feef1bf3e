"""The figures of a sample of played rows, for any weights of the rows; and their intervals.

A figure is a number or None where it is not defined (no flags: no precision). Weights express another base rate and the
bootstrap's draws, so every figure is weighted in the same way. Knows no files and prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from guard.evaluation.counting import counts, delay_steps, delay_tokens
from guard.evaluation.judged import Played
from guard.evaluation.ranking import Floats, Ordered, Ranking

Figures: TypeAlias = dict[str, float | None]
Interval: TypeAlias = tuple[float | None, float | None]
Delay: TypeAlias = Callable[[Played], int | None]
RESAMPLES = 1000
_COVERED = (2.5, 97.5)


class Sample:
    """Played rows as columns."""

    def __init__(self, played: Sequence[Played]) -> None:
        self.played = played
        counted = [counts(each) for each in played]
        names = sorted({name for each in counted for name in each})
        self._at = {name: position for position, name in enumerate(names)}
        self._columns = np.array([[each[name] for name in names] for each in counted], dtype=np.float64)
        self.checks = tuple(dict.fromkeys(h.check for p in played for s in p.segments for h in s.heard))
        self.ranking = Ranking([each.score for each in played], [each.row.wrong for each in played])
        sources = {source: position for position, source in enumerate(dict.fromkeys(p.row.source for p in played))}
        self.sources = len(sources)
        self._source = np.array([sources[each.row.source] for each in played], dtype=np.intp)
        self._wrong = np.array([each.row.wrong for each in played], dtype=bool)
        self._is_steps = any(each.row.steps for each in played)
        self._delays = self._ordered(delay_tokens)
        self._step_delays = self._ordered(delay_steps)
        self._ms = self._costs(None)
        self._check_ms = {check: self._costs(check) for check in self.checks}

    def _ordered(self, delay: Delay) -> Ordered:
        found = [(value, at) for at, each in enumerate(self.played) if (value := delay(each)) is not None]
        return Ordered([value for value, _ in found], [at for _, at in found])

    def _costs(self, check: str | None) -> Ordered:
        found = [
            (sum(heard.ms for heard in segment.heard if check in (None, heard.check)), at)
            for at, each in enumerate(self.played)
            for segment in each.segments
            if check is None or any(heard.check == check for heard in segment.heard)
        ]
        return Ordered([value for value, _ in found], [at for _, at in found])

    # Weights

    def weights(self, base_rate: float | None = None) -> Floats:
        """One a row; with a base rate, the wrong rows' are such that they are this share of the whole. A sample with
        one class stays as it is."""
        weights = np.ones(len(self.played))
        wrong, right = self._wrong.sum(), (~self._wrong).sum()
        if base_rate is not None and wrong and right:
            weights[self._wrong] = base_rate / (1 - base_rate) * right / wrong
        return weights

    def draws(self, weights: Floats, resamples: int, seed: int) -> Iterable[Floats]:
        """Weights of bootstrap samples: sources drawn with replacement, each with all of its rows."""
        rng = np.random.default_rng(seed)
        for _ in range(resamples):
            drawn = np.bincount(rng.integers(0, self.sources, self.sources), minlength=self.sources)
            yield weights * drawn[self._source]

    # Figures

    def total(self, name: str) -> int:
        """An unweighted count."""
        return int(self._columns[:, self._at[name]].sum()) if name in self._at else 0

    def totals(self, prefix: str) -> dict[str, int]:
        """The unweighted counts whose names begin so, without the prefix."""
        return {name.removeprefix(prefix): self.total(name) for name in self._at if name.startswith(prefix)}

    def figures(self, weights: Floats) -> Figures:
        """Every figure of this sample; those of a check are named `check.figure`."""
        sums = weights @ self._columns

        def of(name: str) -> float:
            return float(sums[self._at[name]]) if name in self._at else 0.0

        best = self.ranking.best(weights)
        p50, p90 = self._delays.quantiles(weights, (0.5, 0.9))
        ms50, ms99 = self._ms.quantiles(weights, (0.5, 0.99))
        found: Figures = {
            "example_f1": _ratio(2 * of("hit"), of("flagged") + of("wrong")),
            "precision": _ratio(of("hit"), of("flagged")),
            "recall": _ratio(of("hit"), of("wrong")),
            "balanced_accuracy": _mean(
                _ratio(of("hit"), of("wrong")), _ratio(of("clean") - of("flagged") + of("hit"), of("clean"))
            ),
            "auroc": self.ranking.auroc(weights),
            "best_f1_upper_bound": best[1] if best else None,
            "always_flag_f1": _ratio(2 * of("wrong"), of("rows") + of("wrong")) if of("wrong") else None,
            **(self._steps(weights, of) if self._is_steps else _spans(of)),
            "caught": _ratio(of("caught"), of("wrong")),
            "exact_segment": _ratio(of("exact"), of("located")),
            "early": _ratio(of("early"), of("located")),
            "delay_tokens_p50": p50,
            "delay_tokens_p90": p90,
            "false_per_1000_clean_tokens": _ratio(1000 * of("interruptions.false"), of("clean_tokens")),
            "clean_interrupted": _ratio(of("interrupted_clean"), of("clean")),
            "interruption_precision": _precision(of, "interruptions"),
            "unscanned": _ratio(of("unscanned"), of("verdicts")),
            "not_applicable": _ratio(of("not_applicable"), of("verdicts")),
            "ms_per_segment_p50": ms50,
            "ms_per_segment_p99": ms99,
        }
        for check in self.checks:
            found |= self._of_check(check, weights, of)
        return found

    def _steps(self, weights: Floats, of: Callable[[str], float]) -> Figures:
        wrong, clean = _ratio(of("wrong_located"), of("wrong")), _ratio(of("clean_passed"), of("clean"))
        p50, p90 = self._step_delays.quantiles(weights, (0.5, 0.9))
        return {
            "wrong_located": wrong,
            "clean_passed": clean,
            "step_f1": None if wrong is None or clean is None else _ratio(2 * wrong * clean, wrong + clean) or 0.0,
            "location_accuracy": _ratio(of("steps_right"), of("rows")),
            "delay_steps_p50": p50,
            "delay_steps_p90": p90,
        }

    def _of_check(self, check: str, weights: Floats, of: Callable[[str], float]) -> Figures:
        ms50, ms99 = self._check_ms[check].quantiles(weights, (0.5, 0.99))
        return {
            f"{check}.precision": _precision(of, f"{check}.flagged"),
            f"{check}.interruption_precision": _precision(of, f"{check}.interruptions"),
            f"{check}.ms_p50": ms50,
            f"{check}.ms_p99": ms99,
        }


def _spans(of: Callable[[str], float]) -> Figures:
    shared, flagged, labelled = (of(f"{name}_characters") for name in ("shared", "flagged", "labelled"))
    if not labelled:  # nobody says where anything is wrong
        return {"span_f1": None, "span_precision": None, "span_recall": None}
    return {
        "span_f1": _ratio(2 * shared, flagged + labelled),
        "span_precision": _ratio(shared, flagged),
        "span_recall": _ratio(shared, labelled),
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _mean(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else (left + right) / 2


def _precision(of: Callable[[str], float], name: str) -> float | None:
    right = of(f"{name}.right")
    return _ratio(right, right + of(f"{name}.false"))


def intervals(sample: Sample, weights: Floats, seed: int, resamples: int = RESAMPLES) -> Mapping[str, Interval]:
    """95 % of bootstrap draws of whole sources lie between these; (None, None) with fewer than two sources, or where
    no draw has the figure. The best F1's threshold is chosen anew in each draw; the weights of a base rate are not."""
    names = list(sample.figures(weights))
    if sample.sources < 2:
        return dict.fromkeys(names, (None, None))
    drawn = [sample.figures(each) for each in sample.draws(weights, resamples, seed)]
    return {name: _interval([each[name] for each in drawn]) for name in names}


def _interval(values: Sequence[float | None]) -> Interval:
    some = [value for value in values if value is not None]
    if not some:
        return None, None
    low, high = np.percentile(some, _COVERED)
    return float(low), float(high)
