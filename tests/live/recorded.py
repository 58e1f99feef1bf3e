"""Labelled answers, played by a real guard on loopback: are the bad ones interrupted, and where?

    python -m tests.live.recorded FILE.jsonl [--limit N] [--policy grounded] [--base-rate 0.18] [--go-on]

FILE has rows of the shape `grounded` (see `guard eval`). `guard serve` is started with one scripted model for each row,
which says the row's response; a client sends the row's context and question and reads the stream. Places come from the
log that guard keeps. The same rows then go through `guard eval`'s player, which cuts nothing, and both are compared.

Behind a cut the scripted model finishes, since no model would go on as the recording does. So what must agree is the
first interruption of each row, to the character: `served` against `eval_first`; `eval` is the text played to its end.
With `--go-on` the recording goes on behind each cut, and later interruptions are made too. They are fewer than those of
`eval`: a session keeps a cool-down and budgets (`told_as_limit`: the client is told and nothing is cut), and what was
taken out no longer stands before the statements that follow.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from guard import registry
from guard.checks import Resources
from guard.evaluation.counting import clean_tokens, is_right
from guard.evaluation.evaluating import drawn
from guard.evaluation.playing import DELTA, Player, messages
from guard.evaluation.rows import Row, read_files
from guard.evaluation.stretches import Stretch, touches
from guard.store import Store
from tests.live.conftest import guard_server
from tests.server.live import Heard

PAYLOAD = {"stream": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What guard did to one row: the segments it cut, as characters of the response, and what the client saw."""

    row: Row
    cuts: tuple[Stretch, ...]
    limits: int
    text: str
    reasons: tuple[str, ...] = ()


def configuration(rows: Sequence[Row], policy: str, store: str, *, go_on: bool) -> dict[str, Any]:
    """A guard.yaml with a scripted model for each row."""
    said = [_answer(row, go_on=go_on) for row in rows]
    models = [{"name": name(at), "backend": "scripted", "answers": [answer]} for at, answer in enumerate(said)]
    return {"models": models, "policies": {"default": policy, "allowed": [policy]}, "store": {"url": store}}


def name(at: int) -> str:
    """The model that says row number `at`."""
    return f"row-{at}"


def _answer(row: Row, *, go_on: bool) -> dict[str, Any]:
    end = {"finish": "stop"}
    return {"cut": DELTA, "attempts": [[{"content": row.text}, end], *([] if go_on else [[end]])]}


def play(rows: Sequence[Row], policy: str, *, go_on: bool = False) -> list[Told]:
    """Serve the rows, ask for each, and read the log."""
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder) / 'guard.db'}"
        with _serving(Path(folder), configuration(rows, policy, store, go_on=go_on)) as client:
            heard = [_asked(client, at, row) for at, row in enumerate(rows)]
        claims = _claims(store)
    return [_told(row, each, claims.get(name(at), [])) for at, (row, each) in enumerate(zip(rows, heard, strict=True))]


@contextmanager
def _serving(folder: Path, document: dict[str, Any]) -> Iterator[httpx.Client]:
    path = folder / "guard.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    with (
        guard_server(folder / "log", "--config", str(path)) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def _asked(client: httpx.Client, at: int, row: Row) -> Heard:
    response = client.post("/v1/chat/completions", json={"model": name(at), "messages": messages(row), **PAYLOAD})
    assert response.status_code == 200, response.text
    return Heard(response.content)


def _claims(store: str) -> dict[str, list[str]]:
    """What was interrupted, by model, in the order of the cuts."""
    found: dict[str, list[str]] = {}
    for record in Store(store).iter_interruptions():
        found.setdefault(record.provenance.model, []).append(record.interruption.claim.text)
    return found


def _told(row: Row, heard: Heard, claims: Sequence[str]) -> Told:
    cuts, at = [], 0
    for claim in claims:
        start = row.text.index(claim.strip(), at)
        at = start + len(claim.strip())
        cuts.append((start, at))
    kinds = [event["event"] for event in heard.events]
    acts = sum(kind in ("interruption", "retraction") for kind in kinds)
    assert acts == len(cuts), f"row {row.id!r}: the client was told of {acts} cuts, the log has {len(cuts)}"
    return Told(
        row=row,
        cuts=tuple(cuts),
        limits=kinds.count("limit"),
        text=heard.text(),
        reasons=tuple(str(event.get("reason", "")) for event in heard.events),
    )


def evaluated(rows: Sequence[Row], policy: str) -> list[tuple[Stretch, ...]]:
    """Where `guard eval` would have the same rows cut."""
    loaded = registry.load_policy(registry.read_policy(policy), Resources())
    with Player(loaded, "grounded") as player:
        played = [player.play(row) for row in rows]
    return [tuple((one.start, one.end) for one in each.interruptions) for each in played]


def figures(rows: Sequence[Row], cuts: Sequence[Sequence[Stretch]], base_rate: float | None) -> dict[str, Any]:
    """Bad answers interrupted, where the interruptions lie, and false ones in 1,000 clean tokens at a base rate."""
    wrong = sum(row.wrong for row in rows)
    right = len(rows) - wrong
    weight = base_rate / (1 - base_rate) * right / wrong if base_rate and wrong and right else 1.0
    weights = [weight if row.wrong else 1.0 for row in rows]
    judged = [[is_right(row, cut) for cut in each] for row, each in zip(rows, cuts, strict=True)]
    tokens = sum(w * clean_tokens(row) for w, row in zip(weights, rows, strict=True))
    false = sum(w * each.count(False) for w, each in zip(weights, judged, strict=True))
    caught = [each for row, each in zip(rows, cuts, strict=True) if row.wrong and each]
    exact = sum(bool(each and touches(each[0], row.spans)) for row, each in zip(rows, cuts, strict=True))
    made = sum(map(len, cuts))
    return {
        "rows": len(rows),
        "bad": wrong,
        "bad_interrupted": len(caught),
        "first_in_span": exact,
        "good_interrupted": sum(bool(each) and not row.wrong for row, each in zip(rows, cuts, strict=True)),
        "interruptions": made,
        "in_spans": round(sum(each.count(True) for each in judged) / made, 3) if made else None,
        "false_per_1000_clean_tokens": round(1000 * false / tokens, 3) if tokens else None,
    }


def compared(told: Sequence[Told], expected: Sequence[Sequence[Stretch]], base_rate: float | None) -> dict[str, Any]:
    """Both, and the rows whose first interruption is not in the same place."""
    rows = [each.row for each in told]
    first = [tuple(cuts[:1]) for cuts in expected]
    return {
        "served": figures(rows, [each.cuts for each in told], base_rate),
        "eval_first": figures(rows, first, base_rate),
        "eval": figures(rows, expected, base_rate),
        "first_elsewhere": [each.row.id for each, cuts in zip(told, first, strict=True) if each.cuts[:1] != cuts],
        "told_as_limit": sum(each.limits for each in told),
    }


def main() -> None:
    """Play a file and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--policy", default="grounded")
    parser.add_argument("--base-rate", type=float)
    parser.add_argument("--go-on", action="store_true", help="the recording goes on behind a cut")
    options = parser.parse_args()
    (labelled,) = read_files("grounded", [options.file])
    policy = options.policy if options.policy in registry.shipped() else str(Path(options.policy).resolve())
    rows = drawn(labelled.rows, options.limit, options.seed)
    result = compared(play(rows, policy, go_on=options.go_on), evaluated(rows, policy), options.base_rate)
    print(json.dumps(result, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
