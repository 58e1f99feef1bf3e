"""What a statement costs in `grounding`: the trees alone, and the encoder behind them, on one thread.

Run ``python -m tests.bench.encoder [--encoder shipped] [--rounds 30] [--json]``. The figures are milliseconds a
statement: of the check's own work (reading, features, trees, finding the nearest units), of the encoder asked for one
statement and for eight in a row, and of eight rows in one padded pass, which the encoder does not do; `apart` is by how
much such a pass changes a row's log odds. `cpu` is the median of the thread's own time: on a machine that does other
things it is the only one of the figures that says something about the encoder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from guard.checks import Context, Resources
from guard.checks.grounding import plugin
from guard.checks.grounding.encoders import Asked, load
from guard.checks.grounding.encoders.onnx import OnnxEncoder
from guard.checks.grounding.grounds import Grounds
from guard.checks.grounding.model import load as load_trees
from guard.checks.grounding.pairs import nearest
from guard.checks.grounding.statement import text_of
from guard.core.types import Evidence, Passage, Segment
from guard.errors import ConfigError

AT_ONCE = 8
QUESTION = "What is known of the bridges of the town and of their repairs?"
PLACES = ("Arlen", "Kessel", "Oxmoor", "Tarn", "Wexley", "Brack")
TEXTS = (
    "The {0} Bridge was opened in 19{1} by the mayor and carries {2} lanes of traffic and a tramway of one track.",
    "Repairs to the {0} Bridge took {1} months, cost {2} million pounds and did not close the northern footpath.",
    "Lorries pay a toll of {2} pounds on the {0} Bridge, while cyclists may use its southern side at any time of day.",
    "Its towers, {1} metres high, were built of granite from the quarries of {0} by workers who came from the coast.",
)
SAID = (
    "The {0} Bridge was opened in 19{2} and has carried a tramway and {1} lanes of traffic since then.",
    "Repairs to the {0} Bridge cost {1} million pounds, which the county and the railway company shared between them.",
)


def statements() -> tuple[Evidence, list[Segment]]:
    """Evidence of some 450 words, and a dozen statements about it."""
    made = [text.format(place, 20 + 3 * n, 2 + n) for n, place in enumerate(PLACES) for text in TEXTS]
    passages = [Passage(source="evidence", text=" ".join(made[n : n + 6])) for n in range(0, len(made), 6)]
    said = [text.format(place, 20 + 3 * n, 2 + n) for n, place in enumerate(PLACES) for text in SAID]
    segments = [
        Segment(id=n, channel="content", start=0, end=len(text), text=text, attempt=0) for n, text in enumerate(said)
    ]
    return Evidence(passages=(*passages, Passage(source="user", text=QUESTION)), question=QUESTION), segments


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Milliseconds a statement by what was done. Raises ConfigError where there is no such encoder of ours."""
    encoder = load(name)
    if not isinstance(encoder, OnnxEncoder):
        raise ConfigError(f"the encoder {name!r} is none of ours; name a folder with encoder.onnx, or 'shipped'")
    evidence, segments = statements()
    check: Any = plugin(plugin.Params(), Resources())
    grounds = Grounds(evidence, load_trees().lexicon)
    memo: dict[str, Any] = {"grounds": grounds}
    looks = [check._look(segment, Context(evidence=evidence, memo=memo)) for segment in segments]

    def asked(look: Any) -> Asked:
        return Asked(look.said.text, QUESTION, [text_of(grounds.index, n) for n in nearest(look.said, grounds.index)])

    rows = [asked(look) for look in looks]
    pairs = [encoder._pair(row) for row in rows]
    eight = list(itertools.islice(itertools.cycle(rows), AT_ONCE))
    padded = _padded(list(itertools.islice(itertools.cycle(pairs), AT_ONCE)))
    together = encoder._session.run(["statement"], padded)[0]
    alone = [one.statement for one in encoder.score(eight)]
    return {
        "tokens a row": statistics.median(len(pair.ids) for pair in pairs),
        "apart": float(np.abs(np.array(alone) - together).max()),
        "trees": _times(lambda n: check.examine(segments[n], Context(evidence=evidence, memo=memo)), len(rows), rounds),
        "nearest units": _times(lambda n: asked(looks[n]), len(rows), rounds),
        "tokens": _times(lambda n: encoder._pair(rows[n]), len(rows), rounds),
        "encoder, 1": _times(lambda n: encoder.score([rows[n]]), len(rows), rounds),
        f"encoder, {AT_ONCE}": _times(lambda n: encoder.score(eight), 1, rounds, AT_ONCE),
        f"one pass of {AT_ONCE}": _times(lambda n: encoder._session.run(None, padded), 1, rounds, AT_ONCE),
    }


def _padded(pairs: Sequence[Any]) -> dict[str, Any]:
    """Several rows as one pass would take them."""
    shape = (len(pairs), max(len(pair.ids) for pair in pairs))
    out = {name: np.zeros(shape, np.int64) for name in ("ids", "types", "mask", "said")}
    for at, pair in enumerate(pairs):
        count = len(pair.ids)
        out["ids"][at, :count], out["types"][at, :count], out["mask"][at, :count] = pair.ids, pair.types, 1
        out["said"][at, 1 : 1 + len(pair.offsets)] = 1
    return out


def _times(do: Callable[[int], Any], count: int, rounds: int, statements: int = 1) -> dict[str, float]:
    """Quantiles of milliseconds a statement; the first round is not counted."""
    taken, own = [], []
    for turn in range(rounds + 1):
        for n in range(count):
            began, at = time.perf_counter(), time.thread_time()
            do(n)
            if turn:
                taken.append(1000 * (time.perf_counter() - began) / statements)
                own.append(1000 * (time.thread_time() - at) / statements)
    cuts = statistics.quantiles(taken, n=100)
    return {"p50": cuts[49], "p99": cuts[98], "least": min(taken), "cpu": statistics.median(own)}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="shipped")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    try:
        report = measure(args.encoder, args.rounds)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(report))
        return 0
    print(f"{report['tokens a row']:.0f} tokens a row; one padded pass changes log odds by {report['apart']:.3f}")
    for name, told in report.items():
        if isinstance(told, dict):
            print(f"{name:>14}: {'  '.join(f'{which} {value:7.2f}' for which, value in told.items())} ms a statement")
    return 0


if __name__ == "__main__":
    sys.exit(main())
