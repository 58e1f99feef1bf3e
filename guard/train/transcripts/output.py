"""What a run writes: `transcripts.jsonl` (all, with marks and why), `passed.jsonl` (what may be trained on) and
`report.json` (pass rates and costs).

Each file is whole or as it was: it is written beside itself and then put in its place.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from guard.errors import ConfigError
from guard.train.transcripts.caller import Tokens
from guard.train.transcripts.costs import Prices, bill
from guard.train.transcripts.reviewer import Reviewer, Status
from guard.train.transcripts.run import Result, Run
from guard.train.transcripts.tokens import token_row

VERSION = 1
"""Of the report's form."""

_STATUSES: tuple[Status, ...] = ("passed", "failed", "not_applicable", "unreviewed")


def write(folder: Path, run: Run, prices: Mapping[str, Prices], tokenizer: Any = None) -> dict[str, Any]:
    """Write the three files; gives the report. Raises ConfigError."""
    results = run.results()
    left_out: Counter[str] = Counter()
    rows = [_passed(result, tokenizer, left_out) for result in results if result.passed]
    document = report(run, results, prices)
    if tokenizer is not None:
        document["token_rows"] = {"written": len(rows) - left_out.total(), "left_out": dict(left_out)}
    _replace(folder / "transcripts.jsonl", map(_line, map(_whole, results)))
    _replace(folder / "passed.jsonl", map(_line, rows))
    _replace(folder / "report.json", [json.dumps(document, indent=1) + "\n"])
    return document


def report(run: Run, results: Sequence[Result], prices: Mapping[str, Prices]) -> dict[str, Any]:
    """Pass rates and costs. A criterion's rate is of the transcripts that it applied to; unreviewed counts as not
    passed. `cost` is what these transcripts took, in whichever runs; `this_run` all that this run has asked for."""
    job = run.job
    return {
        "version": VERSION,
        "rubric": job.reviewer.rubric.name,
        "questions": len(job.questions),
        "wanted": len(run.items),
        "all": _counted(results),
        "facts_given": _counted([each for each in results if not each.item.question.withheld]),
        "facts_withheld": _counted([each for each in results if each.item.question.withheld]),
        "criteria": _criteria(job.reviewer, results),
        "no_transcript": dict(Counter(each.transcript.why for each in results if each.transcript.why)),
        "not_asked": dict(run.failed),
        "cost": bill(_spent(results), prices),
        "this_run": bill(_asked(run), prices),
    }


def _counted(results: Sequence[Result]) -> dict[str, Any]:
    passed = sum(result.passed for result in results)
    return {"transcripts": len(results), "passed": passed, "rate": passed / len(results) if results else None}


def _criteria(reviewer: Reviewer, results: Sequence[Result]) -> dict[str, Any]:
    marks = [mark for result in results if result.review is not None for mark in result.review.marks]
    told = {}
    for criterion in reviewer.rubric.criteria:
        counts = Counter(mark.status for mark in marks if mark.criterion == criterion.name)
        applied = counts.total() - counts["not_applicable"]
        counted: dict[str, Any] = {status: counts[status] for status in _STATUSES}
        told[criterion.name] = counted | {"rate": counts["passed"] / applied if applied else None}
    return told


def _spent(results: Sequence[Result]) -> dict[str, Tokens]:
    reviews = (result.review.tokens for result in results if result.review is not None)
    return {
        "generator": sum((result.transcript.tokens for result in results), Tokens()),
        "reviewer": sum(reviews, Tokens()),
    }


def _asked(run: Run) -> dict[str, Tokens]:
    reviewer = run.job.reviewer.caller
    return {
        "generator": run.job.generator.caller.spent,
        "reviewer": Tokens() if reviewer is None else reviewer.spent,
    }


def _messages(result: Result) -> list[Mapping[str, Any]]:
    *turn, last = result.transcript.turn
    answer = {"role": "assistant", "reasoning_content": last.get("reasoning_content", ""), "content": last["content"]}
    return [*result.transcript.messages, *turn, answer if "tool_calls" not in last else last]


def _named(result: Result) -> dict[str, Any]:
    told = {"id": result.item.question.id, "sample": result.item.sample, "messages": _messages(result)}
    return told | ({"tools": result.transcript.tools} if result.transcript.tools else {})


def _whole(result: Result) -> dict[str, Any]:
    told = _named(result) | {"passed": result.passed, "why": result.transcript.why}
    told |= {"withheld": result.item.question.withheld}
    tokens = {"generator": asdict(result.transcript.tokens)}
    if result.review is None:
        return told | {"overall": None, "marks": [], "tokens": tokens}
    marks = [asdict(mark) for mark in result.review.marks]
    tokens |= {"reviewer": asdict(result.review.tokens)}
    return told | {"overall": result.review.overall, "marks": marks, "tokens": tokens}


def _passed(result: Result, tokenizer: Any, left_out: Counter[str]) -> dict[str, Any]:
    assert result.review is not None  # only what was reviewed passes
    scores = {mark.criterion: mark.score for mark in result.review.marks if mark.score is not None}
    row = _named(result) | {"scores": {**scores, "overall": result.review.overall}}
    if tokenizer is None:
        return row
    tokens = token_row(row["messages"], result.transcript.tools, tokenizer)
    if isinstance(tokens, str):
        left_out[tokens] += 1
        return row
    return row | tokens


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value) + "\n"


def _replace(path: Path, lines: Iterable[str]) -> None:
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(lines)
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be written: {error.strerror}") from None
