"""What is learnt from: segments in which a check found something, and of which a label says whether they are wrong.

1. What has no finding has no score, and is never flagged; where it is wrong, it is missed.
2. What did not run is silent of nothing: a segment that none of the checks looked at counts nowhere.
3. Rows of one source are on one side of every split. Weights, of statements, tokens and what is missed, are the rows'.

Knows no curve, no policy and no file: probabilities of the statements are given to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from guard.evaluation.calibration import Bools, threshold_for, threshold_for_f1
from guard.evaluation.counting import clean_tokens, is_right
from guard.evaluation.figures import Sample
from guard.evaluation.judged import Played
from guard.evaluation.ranking import Floats, Whole

Answers: TypeAlias = Mapping[str, float]
"""The score of each check that ran, 0 where it found nothing."""

Split: TypeAlias = tuple[Bools, Bools]
"""Training and held out rows, as masks."""

Predict: TypeAlias = Callable[[Split], Floats]
"""A probability for each statement, from nothing that is held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """Statements as columns, `rows` their rows'; and of each row its source, clean tokens and missed statements, both
    weighted."""

    answers: Sequence[Answers]
    wrong: Bools
    weights: Floats
    rows: Whole
    row_sources: Whole
    row_tokens: Floats
    row_missed: Floats

    @property
    def teach(self) -> bool:
        """Whether something is wrong and something is clean."""
        return bool((self.wrong.any() or self.row_missed.any()) and self.row_tokens.any())

    def scores(self, check: str) -> Floats:
        """A check's score of each statement, 0 where it found nothing or did not run."""
        return np.array([answer.get(check, 0.0) for answer in self.answers], dtype=np.float64)

    def among(self, split: Split) -> Split:
        """The statements of the rows of a split."""
        train, held = split
        return train[self.rows], held[self.rows]

    def thresholds(self, found: Floats, rows: Bools, budget: float) -> tuple[float | None, float | None]:
        """`flag_at` for the best F1 and `interrupt_at` for the budget, from the statements of some rows."""
        among = rows[self.rows]
        wrong, weights = self.wrong[among], self.weights[among]
        missed, tokens = float(self.row_missed[rows].sum()), float(self.row_tokens[rows].sum())
        flag_at = threshold_for_f1(found[among], wrong, weights, missed)
        return flag_at, threshold_for(budget, found[among], weights * ~wrong, tokens)


def statements(played: Sequence[Played], checks: Sequence[str], base_rate: float | None) -> Statements:
    """The statements of some checks, at a base rate (None: as the rows are)."""
    weights = Sample(played).weights(base_rate)
    source = {name: at for at, name in enumerate(dict.fromkeys(each.row.source for each in played))}
    labelled = [list(_labelled(each, checks)) for each in played]
    found = [(at, answers, wrong) for at, each in enumerate(labelled) for answers, wrong in each if _any(answers)]
    rows = np.array([at for at, _, _ in found], dtype=np.intp)
    missed = np.array([sum(wrong for answers, wrong in each if not _any(answers)) for each in labelled], dtype=float)
    tokens = np.array([clean_tokens(each.row) for each in played], dtype=np.float64)
    return Statements(
        answers=[answers for _, answers, _ in found],
        wrong=np.array([wrong for _, _, wrong in found], dtype=bool),
        weights=weights[rows],
        rows=rows,
        row_sources=np.array([source[each.row.source] for each in played], dtype=np.intp),
        row_tokens=weights * tokens,
        row_missed=weights * missed,
    )


def _any(answers: Answers) -> bool:
    return any(score > 0 for score in answers.values())


def _labelled(played: Played, checks: Sequence[str]) -> Iterator[tuple[Answers, bool]]:
    for segment in played.segments if played.row.located else ():
        wrong = is_right(played.row, (segment.start, segment.end))
        asked = [heard for heard in segment.heard if heard.check in checks and heard.status != "unscanned"]
        answers = {heard.check: heard.score for heard in asked if heard.status != "not_applicable"}
        if asked and wrong is not None:
            yield answers, wrong


def held_out(
    statements: Statements, predict: Predict, splits: Sequence[Split], budget: float
) -> Mapping[str, float | None]:
    """What thresholds cost and catch in sources that neither they nor the probabilities have seen."""
    sums: Counter[str] = Counter()
    for split in splits:
        (train, held), (_, among) = split, statements.among(split)
        found = predict(split)
        wrong, weights = statements.wrong[among], statements.weights[among]
        flagged, cut = (
            found[among] >= (np.inf if threshold is None else threshold)
            for threshold in statements.thresholds(found, train, budget)
        )
        counted = {
            "wrong": weights[wrong].sum() + statements.row_missed[held].sum(),
            "flagged": weights[flagged].sum(),
            "hit": weights[flagged & wrong].sum(),
            "right": weights[cut & wrong].sum(),
            "false": weights[cut & ~wrong].sum(),
            "tokens": statements.row_tokens[held].sum(),
        }
        sums.update({name: float(value) for name, value in counted.items()})
    return {
        "flag_precision": _ratio(sums["hit"], sums["flagged"]),
        "flag_recall": _ratio(sums["hit"], sums["wrong"]),
        "false_per_1000_clean_tokens": _ratio(1000 * sums["false"], sums["tokens"]),
        "interruption_precision": _ratio(sums["right"], sums["right"] + sums["false"]),
        "wrong_statements_interrupted": _ratio(sums["right"], sums["wrong"]),
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
