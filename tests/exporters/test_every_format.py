"""What holds of every format: no claim is a target, the same records give the same rows, and `datasets` reads them."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard import registry
from guard.core.records import InterruptionRecord, Review, SessionRecord
from guard.errors import ConfigError
from guard.exporters import OfSessions, Placed
from guard.targets.repeats import repeats
from guard.targets.tokens import IGNORED
from guard.targets.wording import words
from tests.exporters.learning import learnt, unmarked
from tests.exporters.records import CLAIMS, IN_CONTENT, TEMPLATES, TOKENIZERS, WORDS, record, told
from tests.exporters.sessions import drawn_sessions, supervised

ALL: dict[str, Any] = {name: registry.exporter(name) for name in registry.names("exporters")}
OF_SESSIONS = {name: it for name, it in ALL.items() if isinstance(it, OfSessions)}
EXPORTERS = {name: it for name, it in ALL.items() if name not in OF_SESSIONS}
EXPORTERS |= {f"{name} before": it.at("before") for name, it in EXPORTERS.items() if isinstance(it, Placed)}
QWEN = TOKENIZERS["qwen"]
UNLIKE: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Be exact."}], "name": "operator"},
        {"role": "user", "content": "Capital of Australia?"},
        {
            "role": "assistant",
            "content": None,
            "annotations": [{"start": 1}],
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "atlas", "arguments": {"q": 1}}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "Canberra"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "atlas",
                "parameters": {"type": "object", "properties": {"q": {"type": "integer", "default": 1}}},
            },
        },
        {
            "type": "function",
            "function": {
                "name": "map",
                "parameters": {"type": "object", "properties": {"q": {"type": "string", "default": "x"}}},
            },
        },
    ],
}
"""A conversation whose columns have other types than a plain one's, as clients send them."""

MIXED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def rows(name: str, records: list[InterruptionRecord], tokenizer: Any, skipped: Counter[str]) -> list[Any]:
    return list(EXPORTERS[name].rows(EXPORTERS[name].select(records), tokenizer=tokenizer, skipped=skipped))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    claim=CLAIMS,
    kept=WORDS,
    texts=st.tuples(WORDS, WORDS, WORDS, WORDS),
    correct=st.sampled_from(["interrupt", "retract"]),
    channel=st.sampled_from(["reasoning", "content"]),
    known=st.sampled_from([None, 0.2, 0.9]),
    template=st.sampled_from(sorted(TEMPLATES)),
    name=st.sampled_from(sorted(EXPORTERS)),
)
def test_no_flagged_claim_is_ever_a_target(
    claim: str,
    kept: str,
    texts: tuple[str, str, str, str],
    correct: str,
    channel: str,
    known: float | None,
    template: str,
    name: str,
) -> None:
    made = TOKENIZERS[template]
    put_in, followed, answer, discarded = texts
    of = record(
        text=claim,
        kept={channel: kept},
        put_in=f" {put_in}",
        correction=put_in,
        followed=followed,
        answer=answer if channel == "reasoning" else "",
        discarded={channel: discarded},
        correct=correct,
        channel=channel,
        known=known,
        review="confirmed",
    )
    first, again = Counter[str](), Counter[str]()
    found = rows(name, [told(of, made)], made, first)
    assert len(found) + sum(first.values()) >= 1
    assert found == rows(name, [told(of, made)], made, again)
    assert first == again
    for row in found:
        assert not any(repeats(claim, text) for text in learnt(row, made))
        if "input_ids" in row:
            assert all(label in (id_, IGNORED) for id_, label in zip(row["input_ids"], row["labels"], strict=True))
            assert [int(label != IGNORED) for label in row["labels"]] == row["completion_mask"]
            assert made.decode(row["input_ids"]) == row.get("text", row.get("prompt", "") + row.get("completion", ""))


@MIXED
@given(drawn_sessions(), st.sampled_from([QWEN, None]), st.booleans())
def test_no_claim_of_a_session_that_was_run_is_a_target_in_any_format(
    drawn: tuple[SessionRecord, list[InterruptionRecord], dict[str, Review]], tokenizer: Any, unreviewed: bool
) -> None:
    _, cuts, _ = drawn
    cuts = [told(cut, QWEN) for cut in cuts]
    for name, exporter in EXPORTERS.items():
        if name == "distillation" and tokenizer is None:
            continue
        chosen = list(exporter.select(cuts, unreviewed=unreviewed))
        assert not any(cut.review in ("disputed", "rejected") for cut in chosen)
        for of in [chosen] if name == "clean" else [[cut] for cut in chosen]:
            claims = [cut.interruption.claim.text for cut in of]
            for row in exporter.rows(of, tokenizer=tokenizer):
                assert not any(repeats(claim, text) for claim in claims for text in learnt(row, QWEN)), name


@MIXED
@given(drawn_sessions(), st.sampled_from([QWEN, None]))
def test_behind_the_words_of_a_reviewer_stands_nothing_that_followed_others(
    drawn: tuple[SessionRecord, list[InterruptionRecord], dict[str, Review]], tokenizer: Any
) -> None:
    _, cuts, _ = drawn
    for name, exporter in EXPORTERS.items():
        for cut in () if name in ("clean", "distillation") else cuts:
            for row in exporter.rows([cut] if words(cut).edited else [], tokenizer=tokenizer):
                if row.get("label") is False:
                    continue
                assert row["synthesised"], name
                assert not row.get("ended"), name
                turn = row.get("chosen", row)
                if tokenizer is None and "assistant" in turn:
                    assert {span["kind"] for span in turn["spans"] if span["train"]} == {"injected"}


@MIXED
@given(drawn_sessions(), st.booleans(), st.sampled_from(["", "quick", "slow"]), st.sampled_from([QWEN, None]))
def test_no_claim_of_a_session_is_ever_said_to_be_right(
    drawn: tuple[SessionRecord, list[InterruptionRecord], dict[str, Review]],
    unreviewed: bool,
    trusted: str,
    tokenizer: Any,
) -> None:
    session, cuts, reviews = drawn
    (choice,) = session.choices
    flagged = {verdict.segment for verdict in choice.verdicts if verdict.status == "flagged"}
    rejected = {cut.interruption.claim.text for cut in cuts if cut.review == "rejected"}
    claims = [
        segment.text
        for segment in choice.segments
        if segment.id in flagged
        and reviews.get(f"s.0#{segment.id}") != "confirmed"
        and not any(segment.text.endswith(claim) for claim in rejected)
    ]
    cut = {verdict.segment for verdict in choice.verdicts if verdict.disposition == "interrupted"}
    claims += [s.text for s in choice.segments if s.id not in cut and reviews.get(f"s.0#{s.id}") == "rejected"]
    how: dict[str, Any] = {"unreviewed": unreviewed, "trusted": [trusted] * bool(trusted), "tokenizer": tokenizer}
    for exporter in OF_SESSIONS.values():
        first, again = Counter[str](), Counter[str]()
        found = list(exporter.session_rows([session], reviews, skipped=first, **how))
        assert found or first
        assert found == list(exporter.session_rows([session], reviews, skipped=again, **how))
        assert first == again
        for row in found:
            right = unmarked(row) if "response" in row else _right_steps(row)
            assert not any(repeats(claim, text) for claim in claims for text in right)
            if "response" in row and "input_ids" in row:
                answer = [label for label in row["labels"] if label != IGNORED]
                assert bool(sum(answer)) == row["hallucinated"]


def _right_steps(row: Any) -> list[str]:
    return [step for step, right in zip(row["completions"], row["labels"], strict=True) if right]


@pytest.mark.parametrize("name", sorted(OF_SESSIONS))
def test_a_format_of_sessions_says_that_it_is_one(name: str) -> None:
    with pytest.raises(ConfigError, match="whole sessions"):
        OF_SESSIONS[name].rows([])
    assert list(OF_SESSIONS[name].select([record(review="confirmed"), record(review="disputed")])) == [
        record(review="confirmed")
    ]


@pytest.mark.parametrize("tokenizer", [QWEN, None], ids=["tokens", "canonical"])
@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_datasets_reads_the_rows(name: str, tokenizer: Any, tmp_path: Path) -> None:
    if name == "distillation" and tokenizer is None:
        return  # it has no form without
    cut_off = {"content": " It has a harbour."}
    other = record(**IN_CONTENT, **UNLIKE, discarded=cut_off, session="t", id="t.0.1", review="confirmed")
    records = [record(review="confirmed", **({"answer": "", "channel": "content"} if name == "openai" else {})), other]
    if name == "caution":
        records = [dataclasses.replace(of, known=0.2) for of in records]
    made = rows(name, [told(of, QWEN) for of in records], tokenizer, Counter())
    read = _read(made, tmp_path)
    if "id" in read.column_names:
        assert set(read["id"]) == {"s.0.1", "t.0.1"}
    for column in {"labels", "top_ids", "text", "chosen", "completion", "label", "segments"} & set(read.column_names):
        assert list(read[column]) == [row[column] for row in made]
    if "tools" in read.column_names and name not in ("openai", "axolotl"):
        sent = {of.interruption.id: of.provenance.tools for of in records}
        assert [tools and json.loads(tools) for tools in read["tools"]] == [sent[id_] for id_ in read["id"]]


@pytest.mark.parametrize("tokenizer", [QWEN, None], ids=["tokens", "canonical"])
@pytest.mark.parametrize("name", sorted(OF_SESSIONS))
def test_datasets_reads_the_rows_of_sessions(name: str, tokenizer: Any, tmp_path: Path) -> None:
    script: Any = [("reasoning", "They ask. It is Sydney. "), ("content", "Canberra.")]
    one, _ = supervised([script, script], ["clean", "bad"])
    two, _ = supervised([[("content", "Canberra.")]], session="t")
    two = dataclasses.replace(two, provenance=dataclasses.replace(two.provenance, **UNLIKE))
    made = list(OF_SESSIONS[name].session_rows([one, two], {}, unreviewed=True, tokenizer=tokenizer))
    read = _read(made, tmp_path)
    assert read["labels" if name == "stepwise" else "spans"] == [
        row["labels" if name == "stepwise" else "spans"] for row in made
    ]


def _read(made: list[Any], folder: Path) -> Any:
    """The rows of one file as `datasets` reads them."""
    datasets = pytest.importorskip("datasets", reason="rows are read as in the `train` extra")
    file = folder / "rows.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in made))
    return datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(folder / "cache"))
