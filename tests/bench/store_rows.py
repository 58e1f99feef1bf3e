"""A log of any size: synthetic interruptions as the store writes them, many a second.

A row is made of one of a few thousand texts and of values that vary by row. Its record is encoded once for each text
with marks in the places of the values, then only filled in; `check` proves on a sample that the result is what
`guard.store.rows` makes of the same record. Values are skewed, some are rare, some meet in no row at all.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import accumulate
from typing import Any

from guard.core.records import InterruptionRecord, Provenance
from guard.core.types import Claim, Closing, Evidence, Finding, Interruption, Passage, Verdict
from guard.store import owner
from guard.store.rows import interruption_row
from guard.store.schema import combination

DAY = 86_400.0
NOW = 1_790_000_000.0
DAYS = 90
TEXTS = 4000
USERS = 20_000

# Value -> share. What is rare is rarer than a thousandth; `retired` is only in the oldest fifth of the rows.
SKEWED: Mapping[str, Mapping[str, float]] = {
    "model": {"llama-70b": 0.6, "qwen-32b": 0.25, "mistral-24b": 0.1, "phi-14b": 0.05, "tiny": 0.00003},
    "policy": {"default": 0.7, "observe": 0.2, "strict": 0.08, "retract": 0.02, "trial": 0.0001},
    "check": {"grounding": 0.5, "facts": 0.2, "arithmetic": 0.15, "consistency": 0.1, "phrase": 0.05, "units": 0.0001},
    "channel": {"reasoning": 0.7, "content": 0.28, "tool_calls": 0.02},
    "correct": {"interrupt": 0.9, "retract": 0.08, "restart": 0.02},
    "late": {"": 0.97, "late": 0.03},
    "outcome": {"corrected": 0.75, "relapsed": 0.12, "abandoned": 0.13, "open": 0.00002},
    "review": {"unreviewed": 0.94, "confirmed": 0.045, "rejected": 0.012, "disputed": 0.003},
}
RETIRED = "retired"
RARE_WORD, TAG = "zyzzyva", "qqtagqq"

_STRINGS = ("id", "session", "conversation", "user", "model", "policy", "check", "channel", "correct", "outcome")
_MARKS: Mapping[str, Any] = {
    **{name: f"@@{name}@@" for name in (*_STRINGS, "review")},
    "at": 9000000000.5,
    "delay_s": 9000000001.5,
    "score": 9000000002.5,
    "tokens_wasted": 9000000003,
    "tag": TAG,
}
_MARK = re.compile(rf'"@@(\w+)@@"|(900000000[0-3](?:\.5)?)|({TAG})')
_BY_NUMBER = {json.dumps(_MARKS[name]): name for name in ("at", "delay_s", "score", "tokens_wasted")} | {TAG: "tag"}


def specs(number: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """What varies by row, oldest first."""
    rng = random.Random(seed)
    drawn = {name: (list(shares), list(accumulate(shares.values()))) for name, shares in SKEWED.items()}
    session, serial = "", 0
    for index in range(number):
        if not session or rng.random() < 0.55:
            session, serial = f"{rng.getrandbits(64):016x}", 0
            user = f"user{int(USERS * rng.random() ** 3)}"
            conversation = f"conversation{index // 4}"
        serial += 1
        spec: dict[str, Any] = {
            name: rng.choices(values, cum_weights=shares)[0] for name, (values, shares) in drawn.items()
        }
        if spec["check"] == "units":  # a check that one policy alone has
            spec["policy"] = "trial"
        if index < number // 5 and rng.random() < 0.01:
            spec["model"] = RETIRED
        spec |= {"late": spec["late"] == "late", "outcome": None if spec["outcome"] == "open" else spec["outcome"]}
        yield spec | {
            "id": f"{session}.0.{serial}",
            "session": session,
            "conversation": conversation,
            "user": user,
            "at": NOW - DAYS * DAY * (1 - index / number) + rng.random(),
            "score": round(0.4 + 0.6 * rng.random() ** 0.5, 3),
            "delay_s": round(rng.expovariate(3), 3),
            "tokens_wasted": rng.randrange(120),
            "tag": RARE_WORD if index % max(number // 7, 1) == 1 else f"n{index}",
            "text": rng.randrange(TEXTS),
        }


def row(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a spec, but for its `rev`: what the store's own functions give, without encoding a record."""
    base, disagreement, pieces, search = _template(spec["text"], spec["late"], spec["outcome"] is None)
    told = {name: spec[name] for name in base.keys() & spec.keys()}
    made = base | told | {"doubt": 1 - spec["score"] + disagreement}
    filled = [*pieces]
    filled[1::2] = [spec["tag"] if name == "tag" else _written(spec[name]) for name in pieces[1::2]]
    made |= {"record": "".join(filled), "search": search.replace(TAG, spec["tag"])}
    return made | {"combination": _combined(*(made[name] for name in _COMBINED))}


_COMBINED = ("model", "policy", "check", "channel", "correct", "late", "outcome", "review")


@cache
def _combined(*values: Any) -> int:
    return int(combination(dict(zip(_COMBINED, values, strict=True)))["id"])


def combination_row(made: Mapping[str, Any]) -> dict[str, Any]:
    """The combination that a row names."""
    return combination(made)


def _written(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


@cache
def _template(text: int, late: bool, is_open: bool) -> tuple[dict[str, Any], float, list[str], str]:
    marks = {**_MARKS, "text": text, "late": late, "outcome": None if is_open else _MARKS["outcome"]}
    made = interruption_row(record(marks), prompts="full", owner=owner.name())
    parts = _MARK.split(made["record"])
    pieces = [parts[0]]
    for start in range(1, len(parts), 4):
        name, number, tag, literal = parts[start : start + 4]
        pieces += [name or _BY_NUMBER[number or tag], literal]
    return made, made["doubt"] - (1 - made["score"]), pieces, made["search"]


def record(spec: Mapping[str, Any]) -> InterruptionRecord:
    """The whole record of a spec."""
    text = _text(spec["text"])
    closing = Closing(
        id=spec["id"],
        outcome=spec["outcome"],
        continuation="text_exact",
        followed=text["followed"],
        complete=True,
    )
    return InterruptionRecord(
        interruption=_interruption(spec, text),
        provenance=_provenance(spec, text),
        at=spec["at"],
        delay_s=spec["delay_s"],
        closing=None if spec["outcome"] is None else closing,
        review=spec["review"],
        supervisor_tokens=3,
    )


def _provenance(spec: Mapping[str, Any], text: Mapping[str, str]) -> Provenance:
    messages = [{"role": "system", "content": text["system"]}, {"role": "user", "content": text["question"]}]
    passages = (Passage(source="user", text=text["passage"]),)
    return Provenance(
        session=spec["session"],
        started=NOW,
        conversation=spec["conversation"],
        user=spec["user"],
        model=spec["model"],
        policy_model="upstream",
        backend="openai",
        policy=spec["policy"],
        policy_hash="5f" * 32,
        messages=messages,
        evidence=Evidence(passages=passages, question=text["question"]),
        parameters={"temperature": 0.7, "max_tokens": 2048},
    )


def _interruption(spec: Mapping[str, Any], text: Mapping[str, str]) -> Interruption:
    claim = f"{text['claim']} {spec['tag']}."
    finding = Finding(
        score=spec["score"], reason=text["reason"], correction=text["correction"], evidence=text["passage"][:80]
    )
    verdicts = (
        Verdict(segment=3, check=spec["check"], version="1", status="flagged", findings=(finding,)),
        Verdict(segment=3, check="hedging", version="1", status="clean" if spec["text"] % 3 else "not_applicable"),
    )
    return Interruption(
        id=spec["id"],
        choice=0,
        number=1,
        attempt=0,
        correct=spec["correct"],
        late=spec["late"],
        claim=Claim(channel=spec["channel"], start=len(text["kept"]), end=len(text["kept"]) + 90, text=claim),
        kept={spec["channel"]: text["kept"]},
        discarded={spec["channel"]: text["discarded"]},
        put_in=f" No, {text['reason']} {text['correction']}",
        reason=text["reason"],
        correction=text["correction"],
        check=spec["check"],
        verdicts=verdicts,
        delay=12,
        tokens_wasted=spec["tokens_wasted"],
    )


_LENGTHS = {
    "system": 30,
    "question": 14,
    "passage": 60,
    "kept": 50,
    "claim": 14,
    "discarded": 20,
    "reason": 10,
    "correction": 12,
    "followed": 30,
}
"""Words of each text."""


@cache
def _text(index: int) -> dict[str, str]:
    rng = random.Random(index)
    # A word's frequency falls with its rank, as in any language.
    return {name: " ".join(word(int(30_000 ** rng.random())) for _ in range(n)) for name, n in _LENGTHS.items()}


@cache
def word(rank: int) -> str:
    """A word that is as common as its rank says, from 1."""
    parts = ["ka", "to", "ri", "mel", "sun", "dor", "ve", "pil", "an", "gos"]
    return "".join(parts[int(digit)] for digit in str(rank))


def check(sample: list[dict[str, Any]]) -> None:
    """Raises AssertionError if a row is not what the store makes of the record."""
    for spec in sample:
        assert row(spec) == interruption_row(record(spec), prompts="full", owner=owner.name()), spec
