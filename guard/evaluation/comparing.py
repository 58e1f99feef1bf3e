"""Pairs: how well a check tells that a sentence and another sample of it contradict each other.

A comparison has no stream: the pair is given to the function that the check uses inside, so what is measured is that
function and the policy's thresholds on it. The sentence counts as one segment, all of it wrong where the label says so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from guard.errors import ConfigError
from guard.evaluation.judged import Flag, Heard, Judged, Played
from guard.evaluation.rows import Row
from guard.registry import LoadedPolicy


@runtime_checkable
class Comparison(Protocol):
    """What a check may offer beside `examine`: a pure function of three texts."""

    def compare(self, sentence: str, resample: str, context: str) -> float:
        """How surely `resample` contradicts `sentence`, 0..1; `context` is the text before both."""
        ...


class Comparer:
    """Plays pairs through every check of the policy that compares. Raises ConfigError where none does."""

    def __init__(self, loaded: LoadedPolicy) -> None:
        self._policy = loaded.policy
        self._offers: Mapping[str, Comparison] = {
            name: check for name, check in loaded.checks.items() if isinstance(check, Comparison)
        }
        if not self._offers:
            raise ConfigError(
                "pairs need a check that offers compare(sentence, resample, context), and policy "
                f"{loaded.policy.name!r} has none; name another with --policy"
            )

    def play(self, row: Row) -> Played:
        """Compare one pair."""
        heard = tuple(self._heard(name, row) for name in self._offers)
        return Played(row=row, segments=(Judged(start=0, end=len(row.text), heard=heard),))

    def _heard(self, name: str, row: Row) -> Heard:
        began = time.process_time()
        score = min(1.0, max(0.0, self._offers[name].compare(row.text, row.resample, row.context)))
        ms = (time.process_time() - began) * 1000
        use = self._policy.use(name)
        if use.calibration is not None:
            score = use.calibration.calibration.probability(score)
        flagged = use.flag_at is not None and score >= use.flag_at
        return Heard(
            check=name,
            status="flagged" if flagged else "clean",
            score=score,
            interrupts=use.interrupt_at is not None and score >= use.interrupt_at,
            ms=ms,
            flags=(Flag(0, len(row.text), score),) if flagged else (),
        )
