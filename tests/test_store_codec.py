"""Records to JSON and back."""

from __future__ import annotations

import json
import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.core.records import InterruptionRecord, Provenance, SessionRecord
from guard.core.types import (
    CHANNELS,
    Claim,
    Closing,
    Evidence,
    Finding,
    Interruption,
    Passage,
    Segment,
    Summary,
    Token,
    Verdict,
)
from guard.errors import StoreError
from guard.store.codec import decode, encode

TEXT = st.text(st.characters(exclude_categories=()), max_size=12) | st.sampled_from(
    ["null", "1", "\0", "\ud800", "NaN"]
)
NUMBER = st.floats(allow_nan=False)
COUNT = st.integers(0, 2**70) | st.integers(0, 9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
CHANNEL = st.sampled_from(CHANNELS)
TEXTS = st.dictionaries(CHANNEL, TEXT, max_size=3)


some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def many(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=2).map(tuple)


TOKEN = st.builds(
    Token,
    id=COUNT,
    text=TEXT,
    logprob=st.none() | NUMBER,
    entropy=st.none() | NUMBER,
    top=many(st.tuples(COUNT, NUMBER)),
    top_texts=many(TEXT),
)
FINDING = st.builds(
    Finding, score=NUMBER, reason=TEXT, correction=TEXT, evidence=TEXT, subject=TEXT, start=COUNT, end=st.none() | COUNT
)
VERDICT = st.builds(
    Verdict,
    segment=COUNT,
    check=TEXT,
    version=TEXT,
    status=st.sampled_from(["clean", "flagged", "unscanned", "not_applicable"]),
    why=TEXT,
    findings=many(FINDING),
    disposition=st.sampled_from(["none", "interrupted", "observed", "late", "limited"]),
)
CLAIM = st.builds(Claim, channel=CHANNEL, start=COUNT, end=COUNT, text=TEXT, tokens=many(TOKEN), tool=st.none() | TEXT)
INTERRUPTION = st.builds(
    Interruption,
    id=TEXT,
    choice=COUNT,
    number=COUNT,
    attempt=COUNT,
    correct=st.sampled_from(["interrupt", "retract", "restart"]),
    late=st.booleans(),
    claim=CLAIM,
    kept=TEXTS,
    discarded=TEXTS,
    put_in=TEXT,
    reason=TEXT,
    correction=TEXT,
    check=TEXT,
    verdicts=many(VERDICT),
    delay=COUNT,
    tokens_wasted=COUNT,
)
CLOSING = st.builds(
    Closing,
    id=TEXT,
    outcome=st.sampled_from(["corrected", "relapsed", "abandoned"]),
    continuation=st.sampled_from([None, "token_exact", "text_exact", "field_prefill", "reask", "tool_answers"]),
    followed=TEXT,
    answer=TEXT,
    complete=st.booleans(),
    followed_tokens=many(st.tuples(COUNT, TOKEN)),
    answer_tokens=many(st.tuples(COUNT, TOKEN)),
)
PASSAGE = st.builds(Passage, source=st.sampled_from(["evidence", "tool", "system", "user"]), text=TEXT)
PROVENANCE = st.builds(
    Provenance,
    session=TEXT,
    started=NUMBER,
    conversation=TEXT,
    user=TEXT,
    model=TEXT,
    policy_model=TEXT,
    backend=TEXT,
    policy=TEXT,
    policy_hash=TEXT,
    messages=JSON,
    tools=JSON,
    evidence=st.builds(Evidence, passages=many(PASSAGE), question=TEXT, unreadable=many(TEXT)),
    parameters=OBJECT,
)
RECORD = st.builds(
    InterruptionRecord,
    interruption=INTERRUPTION,
    provenance=PROVENANCE,
    at=NUMBER,
    delay_s=NUMBER,
    closing=st.none() | CLOSING,
    review=st.sampled_from(["unreviewed", "confirmed", "rejected"]),
    known=st.none() | NUMBER,
    counterfactual=st.none() | TEXT,
    supervisor_tokens=COUNT,
    version=COUNT,
)
SEGMENT = st.builds(
    Segment, id=COUNT, channel=CHANNEL, start=COUNT, end=COUNT, text=TEXT, attempt=COUNT, tool=st.none() | TEXT
)
SUMMARY = st.builds(
    Summary,
    choice=COUNT,
    finish_reason=st.none() | TEXT,
    segments=many(SEGMENT),
    verdicts=many(VERDICT),
    text=TEXTS,
    interruptions=COUNT,
    discarded_tokens=COUNT,
    unscanned=COUNT,
    client_left=st.booleans(),
    error=st.none() | TEXT,
)
SESSION = st.builds(
    SessionRecord,
    provenance=PROVENANCE,
    ended=NUMBER,
    choices=many(SUMMARY),
    events=many(JSON),
    timings=st.dictionaries(TEXT, NUMBER, max_size=2),
    usage=OBJECT,
    version=COUNT,
)


@some
@given(RECORD)
def test_an_interruption_comes_back_exactly(record: InterruptionRecord) -> None:
    text = encode(record)
    text.encode()
    assert decode(text, InterruptionRecord) == record


@some
@given(SESSION)
def test_a_session_comes_back_exactly(record: SessionRecord) -> None:
    assert decode(encode(record), SessionRecord) == record


def test_what_is_written_is_json_for_everyone() -> None:
    token = Token(id=1, text="\0\ud800", logprob=-math.inf, top=((1, math.nan),))
    text = encode(token)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    json.loads(text.encode(), parse_constant=refuse)
    back = decode(text, Token)
    assert (back.text, back.logprob) == ("\0\ud800", -math.inf)
    assert math.isnan(back.top[0][1])


def test_readers_of_other_versions_get_along() -> None:
    closing = Closing(id="a", outcome="corrected", continuation=None, followed="f")
    newer = json.loads(encode(closing)) | {"invented_later": {"deep": [1]}}
    older = {name: value for name, value in newer.items() if name in ("id", "outcome", "continuation", "followed")}
    assert decode(json.dumps(newer), Closing) == decode(json.dumps(older), Closing) == closing


def test_any_mapping_will_do() -> None:
    summary = Summary(
        choice=0,
        finish_reason=None,
        segments=(),
        verdicts=(),
        text=MappingProxyType({"content": "x"}),
        interruptions=0,
        discarded_tokens=0,
        unscanned=0,
    )
    assert decode(encode(summary), Summary).text == {"content": "x"}


@pytest.mark.parametrize("text", ["{", "[]", '{"id": 1}', '{"id": "a", "outcome": "pleased"}'])
def test_a_damaged_record_says_so(text: str) -> None:
    with pytest.raises(StoreError, match="stored Closing"):
        decode(text, Closing)


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        encode(Passage(source="user", text=object()))  # type: ignore[arg-type]
