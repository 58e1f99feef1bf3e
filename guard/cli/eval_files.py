"""What `guard eval` writes: predictions, plots, a calibration or a fusion. Each is whole or an error of one line."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from guard.core import calibration, fusion
from guard.errors import ConfigError
from guard.evaluation.calibrating import calibrate, scoring_check
from guard.evaluation.evaluating import Evaluation, Options
from guard.evaluation.figures import Sample
from guard.evaluation.fusing import PENALTY, fuse
from guard.evaluation.plots import precision_recall, reliability, score_bins
from guard.evaluation.predictions import prediction
from guard.evaluation.rows import Labelled


def write_predictions(path: Path, evaluation: Evaluation) -> None:
    """One JSON line a row, in the order of the files."""
    lines = (prediction(each) for played in evaluation.played.values() for each in played)
    with _writing(path):
        path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def write_calibration(
    path: Path, evaluation: Evaluation, labelled: Sequence[Labelled], options: Options, budget: float
) -> None:
    """The document of `calibrating`, from all files together."""
    played = [each for of_file in evaluation.played.values() for each in of_file]
    check = scoring_check(played)
    document: dict[str, Any] = {
        "version": calibration.VERSION,
        "check": check,
        "check_version": evaluation.document["checks"][check],
        **_learnt_from(evaluation, labelled, options, budget),
        **calibrate(played, check, base_rate=options.base_rate, budget=budget, seed=options.seed),
    }
    _write(path, document)
    print(f"{path} is written; name it at {check!r} in a policy: calibration: {path.name}", file=sys.stderr)


def write_fusion(
    path: Path,
    evaluation: Evaluation,
    labelled: Sequence[Labelled],
    options: Options,
    budget: float,
    calibrated: Collection[str],
) -> None:
    """The document of `fusing`, from all files together; `calibrated` are the checks that the policy calibrates."""
    played = [each for of_file in evaluation.played.values() for each in of_file]
    weighed, found = fuse(played, base_rate=options.base_rate, budget=budget, seed=options.seed)
    about = _learnt_from(evaluation, labelled, options, budget)
    about |= {"policy_hash": evaluation.document["policy_hash"], "penalty": PENALTY, "metrics": found.pop("metrics")}
    checks = {
        check: {
            "check_version": evaluation.document["checks"][check],
            "weight": weight,
            "silent": silent,
            "calibrated": check in calibrated,
        }
        for check, (weight, silent) in weighed.items()
    }
    _write(path, {"version": fusion.VERSION, "checks": checks, **found, "about": about})


def _learnt_from(
    evaluation: Evaluation, labelled: Sequence[Labelled], options: Options, budget: float
) -> dict[str, Any]:
    return {
        "data": [
            {"file": file.path.name, "sha256": file.sha256, "rows": len(evaluation.played[str(file.path)])}
            for file in labelled
        ],
        "shape": options.shape,
        "base_rate": options.base_rate,
        "budget": budget,
        "seed": options.seed,
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    with _writing(path):
        path.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")


def write_plots(folder: Path, evaluation: Evaluation, base_rate: float | None) -> None:
    """Two pictures a file, by the file's name; the curve only where something is wrong."""
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for number, (name, played) in enumerate(evaluation.played.items(), 1):
            stem = Path(name).stem
            stem = stem if [Path(other).stem for other in evaluation.played].count(stem) == 1 else f"{stem}-{number}"
            sample = Sample(played)
            weights = sample.weights(base_rate)
            figures = sample.figures(weights)
            recall, precision = figures["recall"], figures["precision"]
            if (curve := sample.ranking.curve(weights)) is not None:
                point = None if recall is None or precision is None else (recall, precision)
                picture = precision_recall(stem, curve, point)
                (folder / f"{stem}.precision-recall.svg").write_text(picture, encoding="utf-8")
            picture = reliability(stem, score_bins(played))
            (folder / f"{stem}.reliability.svg").write_text(picture, encoding="utf-8")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be written: {error.strerror}") from None
