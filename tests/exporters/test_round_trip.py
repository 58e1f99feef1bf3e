"""What a row can hold of a record is in it: rebuilt from the row, it is what was logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.core.records import InterruptionRecord, Review, SessionRecord
from guard.exporters import axolotl, openai, preference, prompt_completion, unpaired_preference
from guard.exporters.preference import Preference
from tests.exporters.records import record
from tests.exporters.sessions import drawn_sessions

DRAWN = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def rebuilt(row: Mapping[str, Any]) -> dict[str, Any]:
    """The interruption, as far as a canonical row has it."""
    texts: dict[tuple[str, str], str] = {}
    for span in row["spans"]:
        key = (span["channel"], span["kind"])
        texts[key] = texts.get(key, "") + row["assistant"][span["channel"]][span["start"] : span["end"]]
    channel = row["channel"]
    return {
        "id": row["id"],
        "channel": channel,
        "kept": {name: texts.get((name, "context"), "") for name in ("reasoning", "content")},
        "claim": texts.get((channel, "confabulated"), ""),
        "put_in": texts.get((channel, "injected"), ""),
        "followed": texts.get((channel, "continuation"), ""),
        "answer": texts.get(("content", "continuation"), "") if channel == "reasoning" else "",
        "messages": row["messages"],
    } | {name: row[name] for name in ("check", "correct", "late", "review", "known", "mistake", "conversation")}


def logged(of: InterruptionRecord) -> dict[str, Any]:
    """The same of the record."""
    cut, closing, source = of.interruption, of.closing, of.provenance
    assert closing is not None
    messages = [dict(message) for message in source.messages]
    return {
        "id": cut.id,
        "channel": cut.claim.channel,
        "kept": {
            "reasoning": cut.kept.get("reasoning", ""),
            "content": "" if cut.claim.channel == "reasoning" else cut.kept.get("content", ""),
        },
        "claim": cut.claim.text,
        "put_in": cut.put_in,
        "followed": closing.followed,
        "answer": closing.answer,
        "messages": messages[:-1] if messages[-1]["role"] == "assistant" else messages,
        "check": cut.check,
        "correct": cut.correct,
        "late": cut.late,
        "review": of.review,
        "known": of.known,
        "mistake": of.revised.label if of.revised else "",
        "conversation": source.conversation,
    }


def whole(row: Mapping[str, Any], of: InterruptionRecord) -> bool:
    """Whether the row has all that was said: it was not reworded, and nothing in it says the claim again."""
    closing = of.closing
    assert closing is not None
    learnt = sum(span["end"] - span["start"] for span in row["spans"] if span["train"])
    said = len(of.interruption.put_in + closing.followed + closing.answer)
    return not row["synthesised"] and learnt == said


@DRAWN
@given(drawn_sessions())
def test_a_canonical_row_holds_the_interruption(
    drawn: tuple[SessionRecord, list[InterruptionRecord], dict[str, Review]],
) -> None:
    for of in drawn[1]:
        for row in prompt_completion.plugin.rows([of]):
            if whole(row, of):
                assert rebuilt(row) == logged(of)
                assert row["ended"] is (of.closing is not None and of.closing.complete and _reaches(of))
            # Whatever is learnt, the context is what the model had.
            assert {k: rebuilt(row)[k] for k in ("kept", "claim")} == {k: logged(of)[k] for k in ("kept", "claim")}


def _reaches(of: InterruptionRecord) -> bool:
    assert of.closing is not None
    return of.interruption.claim.channel == "content" or bool(of.closing.answer)


@DRAWN
@given(drawn_sessions())
def test_a_pair_holds_what_was_cut_off(
    drawn: tuple[SessionRecord, list[InterruptionRecord], dict[str, Review]],
) -> None:
    for of in drawn[1]:
        cut = of.interruption
        for row in preference.plugin.rows([of]):
            turn = row["rejected"]
            said = "".join(
                turn["assistant"][span["channel"]][span["start"] : span["end"]]
                for span in turn["spans"]
                if span["kind"] == "discarded"
            )
            assert said in (
                "".join(cut.discarded.get(name, "") for name in _from(cut.claim.channel)),
                of.counterfactual,
            )
        for row in Preference(place="before").rows([of]):
            assert rebuilt(row | row["rejected"])["claim"] == cut.claim.text
        for row in unpaired_preference.plugin.rows([of]):
            assert rebuilt(row)["claim"] == ("" if row["label"] and row["at"] == "before" else cut.claim.text)


def _from(channel: str) -> tuple[Any, ...]:
    return ("reasoning", "content") if channel == "reasoning" else ("content",)


@DRAWN
@given(drawn_sessions(), st.booleans())
def test_trainers_forms_hold_the_turn_of_the_canonical_one(
    drawn: tuple[SessionRecord, list[InterruptionRecord], dict[str, Review]], plain: bool
) -> None:
    for of in [*drawn[1], *([record()] if plain else [])]:
        for row in axolotl.plugin.rows([of]):
            (ours,) = prompt_completion.plugin.rows([of])
            last = row["messages"][-1]
            texts = {
                name: "".join(part["text"] for part in last[field])
                for name, field in (("reasoning", "reasoning_content"), ("content", "content"))
            }
            assert texts == ours["assistant"]
            learnt = [
                part["text"] for field in ("reasoning_content", "content") for part in last[field] if part["train"]
            ]
            assert learnt == [text for _, text, trained in _spans(ours) if trained]
        for row in openai.plugin.rows([of]):
            (ours,) = prompt_completion.plugin.rows([of])
            *_, wrong, right = row["messages"]
            said = "".join(text for _, text, trained in _spans(ours) if trained)
            kept = "".join(text for channel, text, trained in _spans(ours) if not trained and channel == "content")
            assert (wrong["content"], right["content"]) == (kept, said.lstrip())


def _spans(row: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """(channel, text, whether it is learnt), reasoning first."""
    found = [
        (span["channel"], row["assistant"][span["channel"]][span["start"] : span["end"]], bool(span["train"]))
        for span in row["spans"]
    ]
    return sorted(found, key=lambda span: span[0] != "reasoning")
