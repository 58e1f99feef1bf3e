"""Trains the lexical model of the `grounding` check and says how good it is.

    python -m guard.train.grounding DATA_FOLDER --out guard/checks/grounding/lexical.json

Reads every `*.jsonl` of the folder (`guard.train.grounding_data`), fits boosted trees (LightGBM, the extra `train`) and
writes them as plain arrays with what they were trained on. Everything printed is cross-validated by source: no text
of a source is in both halves. Scores are calibrated and measured with answers weighted so that 18 % of the RAGTruth QA
ones are bad, as in nature: a threshold set at another rate is off by up to eight points of F1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import Any

from guard.checks.grounding.features import NAMES
from guard.checks.grounding.model import FORMAT
from guard.checks.grounding.statement import Lexicon
from guard.checks.grounding.words import stems
from guard.train.grounding_data import Answer, Example, examples, grounds, read_folder
from guard.train.grounding_fit import arrays, calibrate, fit, predict, rarities
from guard.train.grounding_score import Scored, auroc, measure, reliability, streaming

RATE = 0.18
MAIN = "ragtruth_qa_train"
TRAINED_ON = (MAIN, "ragtruth_data2txt_dev", "ragtruth_summary_dev")
"""Files to fit on. Those with whole-claim labels (WiCE, SummEdits) made the others worse; they measure transfer."""
FOLDS = 5
BUDGETS = (0.25, 0.5, 1.0)
LICENCES = {"ragtruth": "MIT", "wice": "ODC-BY (annotations), CC BY-SA (text)", "summedits": "Apache-2.0"}


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the cross-validation")
    options = parser.parse_args()
    answers = read_folder(options.folder)
    rarity, unseen = rarities((answer.context for answer in answers if answer.source in TRAINED_ON), stems)
    rows = build(answers, Lexicon(rarity, {}, unseen))
    weights = natural(answers)
    runs = [cross_validate(answers, rows, seed) for seed in range(options.seeds)]
    report = tell(answers, rows, weights, runs)
    print(json.dumps(report, indent=1))  # noqa: T201  # what this script is for
    if options.out:
        booster, table = fit(training(answers, rows), answers, 0)
        slope, shift = _curve(answers, rows, weights, runs[0])
        document = {
            "format": FORMAT,
            "features": NAMES,
            "calibration": {"slope": round(slope, 4), "shift": round(shift, 4)},
            "about": {"trained_on": sources_of(options.folder), "cross_validated": report},
            "words": {"unseen": unseen, "rarity": rarity, "hint": table},
            "trees": arrays(booster),
        }
        options.out.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


def build(answers: Sequence[Answer], lexicon: Lexicon) -> list[Example]:
    """The rows, made ones among them, of all answers that there is evidence for."""
    rows: list[Example] = []
    for at, answer in enumerate(answers):
        held = grounds(answer, lexicon)
        if held.why:
            continue
        rows += examples(at, answer, held, random.Random(at))
    return rows


def natural(answers: Sequence[Answer], rate: float = RATE) -> list[float]:
    """Weights of the answers: those of the main file to the natural rate of bad ones, the others 1."""
    bad = sum(answer.bad for answer in answers if answer.source == MAIN)
    good = sum(not answer.bad for answer in answers if answer.source == MAIN)
    weight = rate * good / ((1 - rate) * bad) if bad else 1.0
    return [weight if answer.bad and answer.source == MAIN else 1.0 for answer in answers]


def fold_of(answer: Answer) -> int:
    """Which fold a source is in."""
    return int(answer.group[-6:], 16) % FOLDS


def training(answers: Sequence[Answer], rows: Sequence[Example], out: int = -1) -> list[Example]:
    """The rows to fit on: claims of the files that are trained on, without those of fold `out`."""
    return [
        row
        for row in rows
        if row.claim and answers[row.answer].source in TRAINED_ON and fold_of(answers[row.answer]) != out
    ]


def cross_validate(answers: Sequence[Answer], rows: Sequence[Example], seed: int) -> list[float]:
    """The log odds of every row from trees that saw nothing of its source."""
    margins = [0.0] * len(rows)
    for fold in range(FOLDS):
        booster, table = fit(training(answers, rows, fold), answers, seed)
        held = [i for i, row in enumerate(rows) if fold_of(answers[row.answer]) == fold]
        for i, margin in zip(held, predict(booster, [rows[i] for i in held], table), strict=True):
            margins[i] = margin
    return margins


def _curve(
    answers: Sequence[Answer], rows: Sequence[Example], weights: Sequence[float], margins: Sequence[float]
) -> tuple[float, float]:
    at = [i for i, row in enumerate(rows) if row.claim and not row.made and answers[row.answer].source == MAIN]
    return calibrate([margins[i] for i in at], [rows[i].bad for i in at], [weights[rows[i].answer] for i in at])


def probabilities(curve: tuple[float, float], rows: Sequence[Example], margins: Sequence[float]) -> list[float]:
    """Calibrated scores; what is no claim gets 0."""
    slope, shift = curve
    return [1 / (1 + exp(-(slope * m + shift))) if row.claim else 0.0 for row, m in zip(rows, margins, strict=True)]


def tell(
    answers: Sequence[Answer], rows: Sequence[Example], weights: Sequence[float], runs: Sequence[Sequence[float]]
) -> dict[str, Any]:
    """All figures: of the main file per seed and streaming, of every other file, and of the made examples."""
    curve = _curve(answers, rows, weights, runs[0])
    scored = [Scored(answers, rows, probabilities(curve, rows, run), weights) for run in runs]
    real = [_without_made(one) for one in scored]
    first = real[0].of(MAIN)
    sources = sorted({answer.source for answer in answers})
    return {
        MAIN: [measure(one.of(MAIN)) for one in real],
        "streaming": [streaming(first, most) for most in BUDGETS],
        "reliability": reliability(first),
        "others": {source: measure(real[0].of(source)) for source in sources if source != MAIN},
        "made": _made_auroc(scored[0]),
        "controls": controls(answers, real[0].of(MAIN)),
    }


def _without_made(scored: Scored) -> Scored:
    at = [i for i, row in enumerate(scored.rows) if not row.made]
    return Scored(scored.answers, [scored.rows[i] for i in at], [scored.scores[i] for i in at], scored.weights)


def _made_auroc(scored: Scored) -> float:
    """Made examples against the good statements of the same answers."""
    of = {row.answer for row in scored.rows if row.made}
    at = [i for i, row in enumerate(scored.rows) if row.claim and row.answer in of and (row.made or not row.bad)]
    return round(100 * auroc([scored.rows[i].made for i in at], [scored.scores[i] for i in at]), 1)


def controls(answers: Sequence[Answer], scored: Scored) -> dict[str, float]:
    """AUROC of what should know nothing: an answer's length, a segment's place and length."""
    found = list(scored.by_answer())
    bad = [answers[at].bad for at, _ in found]
    segments = [row.bad for row in scored.rows]
    return {
        "answer_length": round(100 * auroc(bad, [float(len(answers[at].text)) for at, _ in found]), 1),
        "segment_place": round(100 * auroc(segments, [float(row.start) for row in scored.rows]), 1),
        "segment_length": round(100 * auroc(segments, [float(row.end - row.start) for row in scored.rows]), 1),
    }


def sources_of(folder: Path, trained_on: Sequence[str] = TRAINED_ON) -> list[dict[str, str]]:
    """Name, hash and licence of the files that were learned from."""
    return [
        {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "licence": next((text for name, text in LICENCES.items() if path.stem.startswith(name)), "unknown"),
        }
        for path in sorted(folder.glob("*.jsonl"))
        if path.stem in trained_on
    ]


if __name__ == "__main__":
    main()
