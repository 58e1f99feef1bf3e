"""Labelled rows, policies and checks made for the tests of `guard eval`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from guard import registry
from guard.checks import TEXT, Context, NotApplicable, Params, Resources, Result
from guard.core.policy import Policy
from guard.core.types import Channel, Finding, Segment
from guard.evaluation.evaluating import Options, evaluate
from guard.evaluation.judged import Flag, Heard, Judged, Played
from guard.evaluation.rows import Labelled, Row, Shape, read_files


class Shouting:
    """Finds words in capitals: 1.0 for three letters and more, 0.6 for two, and none in a segment that says CLEAR."""

    version: ClassVar[str] = "7"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = TEXT
    Params: ClassVar[type[Params]] = Params

    def __init__(self, params: Any, resources: Resources) -> None:
        del params, resources

    def examine(self, segment: Segment, context: Context) -> Result | Awaitable[Result]:
        return findings(segment, context)


class Whispering(Shouting):
    """The same, beside the stream."""

    inline: ClassVar[bool] = False

    async def _later(self, segment: Segment, context: Context) -> Result:
        await asyncio.sleep(0)
        return findings(segment, context)

    def examine(self, segment: Segment, context: Context) -> Result | Awaitable[Result]:
        return self._later(segment, context)


class Dawdling(Whispering):
    """Takes two milliseconds."""

    async def _later(self, segment: Segment, context: Context) -> Result:
        until = time.monotonic() + 0.002
        while time.monotonic() <= until:
            await asyncio.sleep(0)
        return ()


class Recalling(Whispering):
    """Scores a hundredth for each character before the segment, and has a model read seven tokens."""

    async def _later(self, segment: Segment, context: Context) -> Result:
        context.spend(7)
        return (Finding(score=len(context.before[segment.channel]) / 100),)


class Reading(Shouting):
    """Finds what the evidence does not say, and says how much of it there was."""

    def examine(self, segment: Segment, context: Context) -> Result | Awaitable[Result]:
        if not context.evidence.passages:
            return NotApplicable("no evidence")
        given = " ".join(passage.text for passage in context.evidence.passages)
        return () if segment.text.strip().rstrip(".") in given else (Finding(score=0.9),)


class Breaking(Shouting):
    """Raises on capitals."""

    def examine(self, segment: Segment, context: Context) -> Result | Awaitable[Result]:
        if segment.text.isupper():
            raise RuntimeError("capitals")
        return ()


class Building(Shouting):
    """Scores a tenth for each segment that stands before this one."""

    def examine(self, segment: Segment, context: Context) -> Result | Awaitable[Result]:
        return (Finding(score=len(context.kept) / 10),)


class Mumbling(Shouting):
    """Answers with no findings in the wrong shape."""

    def examine(self, segment: Segment, context: Context) -> Any:
        return []


class Twin(Shouting):
    """Compares two samples: 1.0 where they differ, 0.2 where the context has the sentence."""

    def compare(self, sentence: str, resample: str, context: str) -> float:
        return 0.2 if sentence in context else float(sentence != resample)


CHECKS: dict[str, type[Shouting]] = {
    "shouting": Shouting,
    "whispering": Whispering,
    "dawdling": Dawdling,
    "recalling": Recalling,
    "reading": Reading,
    "breaking": Breaking,
    "building": Building,
    "mumbling": Mumbling,
    "twin": Twin,
}


def findings(segment: Segment, context: Context) -> tuple[Finding, ...]:
    """Of words in capitals; the memo and what stands before are looked at, as a real check would."""
    context.memo[str(segment.id)] = len(context.kept)
    if "CLEAR" in segment.text:
        return ()
    found, at = [], 0
    for word in segment.text.split():
        at = segment.text.index(word, at)
        bare = word.strip(".,")
        if len(bare) > 1 and bare.isupper():
            found.append(Finding(score=1.0 if len(bare) > 2 else 0.6, start=at, end=at + len(bare)))
        at += len(word)
    return tuple(found)


def loaded(*checks: str | dict[str, Any], **fields: Any) -> registry.LoadedPolicy:
    base: dict[str, Any] = {
        "name": "p",
        "watch": {"reasoning": {"release": "immediate"}, "content": {"correct": "retract"}},
        "checks": [{"check": check} if isinstance(check, str) else check for check in checks],
    }
    return registry.load_policy(Policy.model_validate(base | fields), Resources())


def write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def document(policy: registry.LoadedPolicy, shape: Shape, *files: Path, **options: Any) -> dict[str, Any]:
    """The document of `guard eval`, without progress."""
    labelled = read_files(shape, files)
    how = Options(shape=shape, **{"resamples": 20, **options})
    return dict(evaluate(policy, labelled, how, lambda name, rows: rows).document)


def values(result: dict[str, Any]) -> dict[str, float | None]:
    return {name: figure["value"] for name, figure in result["figures"].items()}


def played(row: Row, *segments: tuple[int, int, float], flag_at: float = 0.5, cut_at: float = 0.85) -> Played:
    """A row with segments of (start, end, score), each flagged whole by one check named `c`."""
    return Played(row=row, segments=tuple(_judged(*segment, flag_at, cut_at) for segment in segments))


def _judged(start: int, end: int, score: float, flag_at: float, cut_at: float) -> Judged:
    flagged = score >= flag_at
    flags = (Flag(start, end, score),) if flagged else ()
    heard = Heard(
        check="c",
        status="flagged" if flagged else "clean",
        score=score,
        interrupts=score >= cut_at,
        ms=1.0,
        flags=flags,
    )
    return Judged(start=start, end=end, heard=(heard,))


def row(text: str = "", wrong: bool = False, spans: Sequence[tuple[int, int]] = (), **fields: Any) -> Row:
    base: dict[str, Any] = {"id": "r", "dataset": "d", "source": text, "text": text, "wrong": wrong}
    return Row(**(base | {"spans": tuple(spans)} | fields))


def read(shape: Shape, path: Path) -> Labelled:
    (only,) = read_files(shape, [path])
    return only
