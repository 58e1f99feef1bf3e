"""The log from the command line: list it, show it, review it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from guard.cli.judging import RULINGS, judgement, whoever
from guard.core.records import InterruptionRecord, Review, Ruling
from guard.core.types import Finding, Verdict
from guard.errors import ConfigError
from guard.server.review import summary
from guard.store import Filter, SegmentRecord, Store
from guard.store.codec import encode

T = TypeVar("T")
OUTCOMES = ("corrected", "relapsed", "abandoned", "open")
PASSED: Mapping[Review, str] = {"confirmed": "rightly let pass", "rejected": "missed"}
"""What a review says of a statement that was let pass."""

SHOWN = 200
"""Characters of a question in a list."""


def list_interruptions(url: str, limit: int, outcome: str | None, unreviewed: bool, as_json: bool) -> None:
    """Print the newest interruptions, as a table or as JSON."""
    if outcome is not None and outcome not in OUTCOMES:
        raise ConfigError(f"--outcome {outcome!r} is none of {', '.join(OUTCOMES)}")
    wanted = Filter(limit=limit, outcome=outcome, review="unreviewed" if unreviewed else None)
    records = with_store(url, lambda store: store.interruptions(wanted))
    if as_json:
        print_json([summary(record) | {"review": record.review, "question": _question(record)} for record in records])
        return
    none = "No interruption on record is like that." if outcome or unreviewed else "Nothing has been interrupted yet."
    print(_lines(records) if records else none)


def show_interruption(url: str, key: str, tokens: bool) -> None:
    """Print one interruption, or a statement that was let pass, as JSON.

    Without `tokens`, say on standard error how many of them are left out.
    """
    if "#" in key:
        _show_segment(url, key)
        return
    record = with_store(url, lambda store: _found(store, key))
    if record is None:
        raise _missing([key], url)
    whole = asdict(record)
    left_out = 0 if tokens else _without_tokens(whole)
    print_json(whole)
    if left_out:
        print(f"tokens left out: {left_out}, with their alternatives; --tokens prints them", file=sys.stderr)


def _show_segment(url: str, key: str) -> None:
    segment = with_store(url, lambda store: store.segment(key))
    if segment is None:
        raise ConfigError(
            f"there is no statement {key!r} kept for review in {url!r}; see `guard interruptions list --observed`"
        )
    print_json(asdict(segment))


def _without_tokens(whole: dict[str, Any]) -> int:
    """Take the tokens out of a record's fields; returns how many."""
    taken = [whole["interruption"]["claim"].pop("tokens")]
    if closing := whole["closing"]:
        taken += [closing.pop("followed_tokens"), closing.pop("answer_tokens")]
    return sum(map(len, taken))


def review_interruptions(url: str, keys: Sequence[str], verdict: str, reviewer: str | None = None) -> None:
    """Write down what a reviewer (None: the user) says of interruptions: `confirmed`, `rejected` or `unsure`.

    A key may be a segment's id too, or `-` for those on standard input, with white space between. Raises ConfigError:
    some are not on record; the others are written first.
    """
    ruling = next((known for known in RULINGS if known == verdict), None)
    if ruling is None:
        raise ConfigError(f"{verdict!r} is no review; say {', '.join(RULINGS[:-1])} or {RULINGS[-1]}")
    given = [one for key in keys for one in (sys.stdin.read().split() if key == "-" else [key])]
    if not given:
        raise ConfigError("there are no ids on standard input; `guard interruptions list` has them")
    name = whoever(reviewer)
    missing = with_store(url, lambda store: _reviewed(store, list(dict.fromkeys(given)), ruling, name))
    if missing:
        raise _missing(missing, url)


async def _reviewed(store: Store, keys: Sequence[str], ruling: Ruling, reviewer: str) -> list[str]:
    """Write the ruling on each; returns the keys that are not on record."""
    missing = []
    for key in keys:
        record = None if "#" in key else await _found(store, key)
        subject = key if record is None else record.interruption.id
        review = await store.judge(judgement(subject, ruling, reviewer))
        if review is None:
            missing.append(key)
        else:
            agreed = "" if review in (ruling, "unreviewed") else f" (with the other reviewers: {review})"
            print(f"{printable(subject)}: {ruling}{agreed}")
    return missing


def list_findings(url: str, limit: int) -> None:
    """Print the newest `limit` statements that checks flagged without an interruption (`observe`, below `interrupt_at`,
    late, limited), newest first: for each check that flagged it its score, its id and what reviewers say of it."""
    records = with_store(url, lambda store: store.segments(limit))
    lines = [
        _finding_line(record, verdict)
        for record in records
        for verdict in record.verdicts
        if verdict.status == "flagged"
    ]
    print("\n".join(lines) or "Nothing has been flagged without an interruption.")


def _finding_line(record: SegmentRecord, verdict: Verdict) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.at))
    surest = max(verdict.findings, key=lambda f: f.score, default=Finding(score=0.0))
    found = (verdict.check, verdict.disposition, f"{surest.score:.2f}")
    about = (record.id, record.provenance.policy, *found, PASSED.get(record.review, record.review))
    asked = " ".join(record.provenance.evidence.question.split())
    question = f"    asked: {printable(_short(asked))}\n" if asked else ""
    claim, true = printable(" ".join(record.segment.text.split())), printable(surest.correction or surest.reason)
    return f"{when}  {printable('  '.join(about))}\n{question}    {claim}  ->  {true}"


async def _found(store: Store, key: str) -> InterruptionRecord | None:
    """The interruption of this id, or the only one of the response of this id."""
    record = await store.interruption(key)
    if record is not None:
        return record
    of_session = await store.interruptions(Filter(session=key))
    return of_session[0] if len(of_session) == 1 else None


def _missing(keys: Sequence[str], url: str) -> ConfigError:
    named = ", ".join(map(repr, keys))
    return ConfigError(f"there is no interruption {named} in {url!r}; see `guard interruptions list`")


def existing(url: str) -> Store:
    """The store at a URL; a SQLite file is not created by looking at it."""
    path = url.removeprefix("sqlite:///")
    if url.startswith("sqlite:///") and path != ":memory:" and not Path(path).is_file():
        raise ConfigError(f"there is no log {path!r}; name the server's with --store URL, or ask it something first")
    return Store(url)


def opened(url: str) -> Store:
    """The store at a URL, open; whoever asks closes it."""
    store = existing(url)
    asyncio.run(store.open())
    return store


def with_store(url: str, read: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """What is read of the store at a URL, which is open meanwhile."""

    async def run() -> T:
        store = existing(url)
        await store.open()
        try:
            return await read(store)
        finally:
            await store.close()

    return asyncio.run(run())


def print_json(value: Any) -> None:
    """Print a value as indented JSON, in which every control character is escaped."""
    text = json.dumps(json.loads(encode(value)), indent=2, ensure_ascii=False)
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text) + "\n")


def _escaped(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def _lines(records: list[InterruptionRecord]) -> str:
    """Some lines an interruption: what it is, what was asked, and the claim with what guard wrote."""
    lines = []
    for record in records:
        fields = summary(record)
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.at))
        names = ("id", "policy", "check", "correct", "outcome")
        about = (*(str(fields[name]) for name in names), f"{fields['score']:.2f}", record.review)
        claim, put_in = (" ".join(str(fields[name]).split()) for name in ("claim", "put_in"))
        asked = " ".join(_question(record).split())
        lines.append(f"{when}  {printable('  '.join(about))}")
        lines += [f"    asked: {printable(_short(asked))}"] if asked else []
        lines.append(f"    {printable(claim)}  ->  {printable(put_in)}")
    return "\n".join(lines)


def _question(record: InterruptionRecord) -> str:
    """The last user message; "" where prompts are not kept."""
    return record.provenance.evidence.question


def _short(line: str) -> str:
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


def printable(text: str) -> str:
    """Text without control characters, so that a model cannot steer the terminal it is shown in."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
