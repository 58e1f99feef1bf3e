"""Weighs the encoder of `grounding` against its lexical model, and says how good each is and both are together.

    python -m guard.train.stack DATA_FOLDER --work FOLDER [--out guard/checks/grounding/shipped]

Reads what `guard.train.encoder` left under `--work`. Both models' scores of a statement come from a training that saw
nothing of its source; so does the stack's: its few weights are fitted on the other folds. Everything printed is
measured so, on the folds there are, at the natural rate of bad answers; intervals are 95 %, over sources. `--out` gets
the encoder, its tokenizer and `stack.json`, whose weights are fitted on all folds.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.checks.grounding.model import Model, load
from guard.checks.grounding.stack import FORMAT, inputs
from guard.checks.grounding.statement import Lexicon
from guard.checks.grounding.words import stems
from guard.train.encoder import saved
from guard.train.encoder_net import Logits
from guard.train.grounding import (
    BUDGETS,
    FOLDS,
    MAIN,
    TRAINED_ON,
    build,
    cross_validate,
    fold_of,
    natural,
    sources_of,
)
from guard.train.grounding_data import Answer, Example, read_folder
from guard.train.grounding_fit import logistic, rarities
from guard.train.grounding_score import Scored, interval, measure, reliability, streaming

WANTED = ("lexical", "statement", "token_most")
"""What is weighed; the mean over tokens added nothing."""
PENALTY = 1.0
"""Strength of the penalty on weights."""
LOST = 0.01
"""The share of what is bad that may fall under `ask_from`, below which the encoder is not asked."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Statements as columns: fold, inputs (statements, `WANTED`), label and weight.

    `rows` are theirs, and behind them those of what is no claim: that counts too, and is never flagged.
    """

    rows: Sequence[Example]
    folds: NDArray[np.intp]
    values: Floats
    bad: Floats
    weights: Floats
    main: NDArray[np.bool_]

    def fit(self, at: NDArray[np.bool_]) -> Floats:
        """Weights and bias for the statements of the main file among these."""
        at = at & self.main
        x = np.c_[self.values[at], np.ones(int(at.sum()))]
        return logistic(x, self.bad[at], self.weights[at], [PENALTY] * len(WANTED) + [0.0])

    def scores(self, beta: Floats) -> Floats:
        """Probabilities of all statements."""
        return np.asarray(1 / (1 + np.exp(-(self.values @ beta[:-1] + beta[-1]))))


def main() -> None:
    """Fit, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folds = [fold for fold in range(FOLDS) if (options.work / f"fold-{fold}.npz").exists()]
    if len(folds) < 2:
        parser.error(f"{str(options.work)!r} holds fewer than two folds; run guard.train.encoder first")
    said: dict[tuple[int, int], Logits] = {}
    for fold in folds:
        said |= saved(options.work / f"fold-{fold}.npz")
    answers, shipped = read_folder(options.folder), load()
    table, weights = tabulate(answers, said, shipped)
    beta = table.fit(np.ones(len(table.values), bool))
    report, ask_from = tell(answers, table, weights, folds)
    print(json.dumps(report, indent=1))  # noqa: T201  # what this script is for
    if options.out:
        trained_on = sorted({answer.source for answer in answers})
        about = {"trained_on": sources_of(options.folder, trained_on), "cross_validated": report}
        write(options.work, options.out, shipped, beta, ask_from, about)


def tabulate(
    answers: Sequence[Answer], said: Mapping[tuple[int, int], Logits], shipped: Model
) -> tuple[Table, list[float]]:
    """Every claim that the encoder was asked about; the lexical score is of trees that did not see its source."""
    rarity, unseen = rarities((answer.context for answer in answers if answer.source in TRAINED_ON), stems)
    rows = build(answers, Lexicon(rarity, {}, unseen))
    margins = cross_validate(answers, rows, 0)
    weights = natural(answers)
    kept, values = [], []
    for row, margin in zip(rows, margins, strict=True):
        logits = said.get((row.answer, row.start))
        if row.claim and not row.made and logits is not None:
            kept.append(row)
            lexical = shipped.slope * margin + shipped.shift
            values.append(inputs(WANTED, lexical, logits.statement, logits.tokens.tolist()))
    table = Table(
        rows=kept,
        folds=np.array([fold_of(answers[row.answer]) for row in kept]),
        values=np.array(values),
        bad=np.array([row.bad for row in kept], np.float64),
        weights=np.array([weights[row.answer] for row in kept]),
        main=np.array([answers[row.answer].source == MAIN for row in kept]),
    )
    folds, claims = set(table.folds.tolist()), {(row.answer, row.start) for row in kept}
    rest = [
        row
        for row in rows
        if not row.made and (row.answer, row.start) not in claims and fold_of(answers[row.answer]) in folds
    ]
    return replace(table, rows=[*kept, *rest]), weights


def tell(
    answers: Sequence[Answer], table: Table, weights: Sequence[float], folds: Sequence[int]
) -> tuple[dict[str, Any], float]:
    """The figures of each model and of both, and where the encoder need not be asked."""
    together = np.zeros(len(table.values))
    for fold in folds:
        beta = table.fit(table.folds != fold)
        together[table.folds == fold] = table.scores(beta)[table.folds == fold]
    lexical, encoder = (1 / (1 + np.exp(-table.values[:, at])) for at in (0, 1))
    ask_from = _ask_from(table, lexical)
    gated = np.where(lexical < ask_from, lexical, together)
    rest = [0.0] * (len(table.rows) - len(table.values))
    found = {}
    named = {"lexical": lexical, "encoder": encoder, "stack": together, "asked_where_in_doubt": gated}
    for name, scores in named.items():
        scored = Scored(answers, table.rows, [*scores.tolist(), *rest], weights)
        found[name] = _figures(answers, scored)
    found["asked"] = {"from": ask_from, "share": round(float((lexical[table.main] >= ask_from).mean()), 3)}
    return {"folds": list(folds), **found}, ask_from


def _figures(answers: Sequence[Answer], scored: Scored) -> dict[str, Any]:
    first = scored.of(MAIN)
    sources = sorted({answers[row.answer].source for row in scored.rows} - {MAIN})
    return {
        MAIN: measure(first) | {"interval": interval(first)},
        "streaming": [streaming(first, most) for most in BUDGETS],
        "reliability": reliability(first),
        "others": {source: measure(scored.of(source)) for source in sources},
    }


def _ask_from(table: Table, lexical: Floats) -> float:
    """The lexical probability under which only `LOST` of the main file's bad statements lie."""
    bad = np.sort(lexical[table.main & (table.bad > 0)])
    return float(np.floor(1000 * bad[int(LOST * len(bad))]) / 1000)


def write(work: Path, out: Path, shipped: Model, beta: Floats, ask_from: float, about: Mapping[str, Any]) -> None:
    """The folder that the check loads."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("encoder.onnx", "tokenizer.json"):
        shutil.copy(work / name, out / name)
    document = {
        "format": FORMAT,
        "lexical": shipped.version,
        "inputs": list(WANTED),
        "weights": [round(float(value), 4) for value in beta[:-1]],
        "bias": round(float(beta[-1]), 4),
        "ask_from": ask_from,
        "about": about,
    }
    (out / "stack.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
