"""How fast recorded sessions replay: sessions a second on one core, and how long 10,000 take.

Run ``python -m tests.bench.replay_scale [--sessions 10000] [--json]``. A scripted model of ordinary length is served
and recorded under the policy `default`; its sessions are copied under new ids until there are enough, and all are
replayed from the log, decoding and summing included: under the policy that recorded them, and under one with other
thresholds and one more check, which then runs live. The exit code is 1 if 10,000 would take a minute or more.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from guard.cli.eval_models import Asked
from guard.cli.replay import Wanted, replay
from guard.core.records import InterruptionRecord, SessionRecord
from guard.registry import shipped
from guard.store import Database
from guard.store.codec import decode, encode
from tests.server.live import answer, serving, settings

GOAL = 60.0
"""Seconds for 10,000 sessions."""

_MADE = 24
"""Sessions that are really recorded."""

_WORDS = "river town bridge harbour letter garden winter music stone market".split()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'many.db'}"
        characters = _fill(url, *_recorded(folder), given.sessions)
        told = {"sessions": given.sessions, "characters": characters}
        told |= {policy: _seconds(url, source, given.sessions) for policy, source in _policies(folder).items()}
    slowest = max(seconds for name, seconds in told.items() if name not in ("sessions", "characters"))
    print(json.dumps(told) if given.json else "\n".join(f"{name:<12} {value:>10.1f}" for name, value in told.items()))
    return int(slowest / given.sessions * 10_000 >= GOAL)


def _policies(folder: Path) -> dict[str, str]:
    document = yaml.safe_load(shipped()["default"].read_text(encoding="utf-8"))
    document |= {"name": "other", "cases": []}
    document["checks"][0] |= {"flag_at": 0.9, "interrupt_at": 0.99}
    document["checks"].append({"check": "phrase", "phrases": [{"text": "harbour market", "score": 0.9}]})
    path = folder / "other.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return {"the same": "default", "another": str(path)}


def _seconds(url: str, policy: str, sessions: int) -> float:
    began = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()) as out:
        replay(policy, url, Wanted(as_json=True), Asked())
    seconds = time.process_time() - began
    document = json.loads(out.getvalue())
    assert document["replayed"] == sessions, document
    assert (policy != "default") or document["same"] == sessions, document
    return seconds


def _recorded(folder: Path) -> tuple[Sequence[SessionRecord], Sequence[InterruptionRecord]]:
    draw = random.Random(0)
    with serving(settings(folder, policies={"default": "default"})) as live:
        for _ in range(_MADE):
            live.say(answer([{"reasoning": _said(draw, 24)}, {"content": _said(draw, 10)}, {"finish": "stop"}], cut=4))
            live.post(max_tokens=4000)
        return live.sessions(), live.interruptions()


def _said(draw: random.Random, sentences: int) -> str:
    wrong = draw.randrange(sentences)
    return " ".join(
        "Then 12 * 4 = 46." if at == wrong else f"The {' '.join(draw.choices(_WORDS, k=12))} was there in 19{at:02}."
        for at in range(sentences)
    )


def _fill(url: str, made: Sequence[SessionRecord], cuts: Sequence[InterruptionRecord], number: int) -> float:
    """Copy what was recorded under new ids; returns the mean length of a session's text."""
    log = Database(url)
    log.open()
    for at, (one, session) in enumerate(_copies(made, number)):
        old = one.provenance.session
        log.add_session(session)
        for cut in (cut for cut in cuts if cut.provenance.session == old):
            log.add_interruption(decode(encode(cut).replace(old, f"copy-{at}"), InterruptionRecord))
    log.close()
    return sum(len(text) for one in made for choice in one.choices for text in choice.text.values()) / len(made)


def _copies(made: Sequence[SessionRecord], number: int) -> Iterator[tuple[Any, SessionRecord]]:
    for at in range(number):
        one = made[at % len(made)]
        yield one, decode(encode(one).replace(one.provenance.session, f"copy-{at}"), SessionRecord)


if __name__ == "__main__":
    sys.exit(main())
