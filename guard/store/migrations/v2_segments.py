"""The segments to review of a session that schema 1 holds, as schema 2 writes them for a new one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

_CLEAN = {"clean", "not_applicable"}


def segments(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows: every segment that was flagged and let pass, and one of those that no check had anything against."""
    session = record["provenance"]["session"]
    judged = [
        (f"{session}.{choice['choice']}#{key}", said) for choice in record["choices"] for key, said in _of(choice)
    ]
    found = [_row(record, key, said) for key, said in judged if _was_let_pass(said)]
    clean = [(key, said) for key, said in judged if "clean" in _statuses(said) <= _CLEAN]
    if clean:
        drawn = clean[int(_share(session) * len(clean))]
        found.append(_row(record, *drawn) | {"kind": "clean", "weight": len(clean)})
    return found


def _of(choice: dict[str, Any]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    for segment in choice["segments"]:
        said = [verdict for verdict in choice["verdicts"] if verdict["segment"] == segment["id"]]
        yield segment["id"], sorted(said, key=lambda verdict: (verdict["status"] != "flagged", -_score(verdict)))


def _row(record: dict[str, Any], key: str, said: list[dict[str, Any]]) -> dict[str, Any]:
    source, ran = record["provenance"], [v["status"] for v in said if v["status"] in ("clean", "flagged")]
    score = max((_score(verdict) for verdict in said if verdict["status"] == "flagged"), default=0.0)
    return {
        "id": key,
        "at": float(record["ended"]),
        "session": source["session"],
        "conversation": source["conversation"],
        "user": source["user"],
        "check": said[0]["check"],
        "kind": "flagged",
        "review": "unreviewed",
        "score": score,
        "doubt": score + ran.count("clean") / len(ran) if score else 0.0,
        "weight": 1,
        "draw": _share(key),
    }


def _was_let_pass(said: list[dict[str, Any]]) -> bool:
    return "flagged" in _statuses(said) and all(verdict.get("disposition") != "interrupted" for verdict in said)


def _statuses(said: list[dict[str, Any]]) -> set[str]:
    return {verdict["status"] for verdict in said}


def _score(verdict: dict[str, Any]) -> float:
    return max((float(finding["score"]) for finding in verdict.get("findings") or []), default=0.0)


def _share(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:6], "big") / 2**48
