"""Corrections as prompt-completion rows: what is context, what is learnt, and that it is the same text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.core.types import normalise
from guard.errors import ConfigError
from guard.exporters.prompt_completion import plugin
from guard.targets.selection import select
from guard.targets.tokens import IGNORED
from tests.exporters.records import (
    CLAIMS,
    IN_CONTENT,
    TEMPLATES,
    TOKENIZERS,
    WORDS,
    make,
    one,
    record,
    spans,
    tokenizers,
    trained,
    transformers,
    why,
)


@pytest.fixture(params=TEMPLATES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]


# Selection


@pytest.mark.parametrize(
    ("changes", "default", "unreviewed"),
    [
        ({"review": "confirmed"}, True, True),
        ({"review": "unreviewed"}, False, True),
        ({"review": "rejected"}, False, False),
        ({"review": "confirmed", "outcome": "relapsed"}, False, False),
        ({"review": "confirmed", "outcome": "abandoned"}, False, False),
        ({"review": "confirmed", "closing": None}, False, False),
        ({"review": "confirmed", "continuation": "text_exact"}, True, True),
        ({"review": "confirmed", "continuation": "field_prefill"}, True, True),
        ({"review": "confirmed", "continuation": "reask"}, False, False),
        ({"review": "confirmed", "continuation": "tool_answers"}, False, False),
        ({"review": "confirmed", "continuation": None}, False, False),
    ],
)
def test_what_is_selected(changes: dict[str, Any], default: bool, unreviewed: bool) -> None:
    records = [record(**changes)]
    assert bool(list(select(records))) is default
    assert bool(list(select(records, unreviewed=True))) is unreviewed


def test_a_trusted_check_needs_no_review() -> None:
    assert list(select([record()], trusted={"knowledge"}))
    assert not list(select([record()], trusted={"judge"}))
    assert not list(select([record(review="rejected")], trusted={"knowledge"}))


# Span rows


def test_a_span_row_says_who_wrote_what() -> None:
    row = one(record())
    assert spans(row) == [
        ("context", "They ask for the capital.", 0),
        ("confabulated", " It is Sydney.", 0),
        ("injected", " No, the capital is Canberra.", 1),
        ("continuation", " So I say that.", 1),
        ("continuation", "Canberra.", 1),
    ]
    assert row["messages"] == [{"role": "user", "content": "Capital of Australia?"}]
    assert (row["id"], row["version"], row["ended"], row["synthesised"]) == ("s.0.1", 1, True, False)
    assert "opera" not in str(row)


def test_reasoning_is_context_of_a_claim_in_the_content() -> None:
    row = one(record(**IN_CONTENT))
    assert [kind for kind, _, _ in spans(row)] == ["context", "context", "confabulated", "injected", "continuation"]
    assert row["assistant"]["reasoning"] == "They ask for the capital."


def test_what_a_late_interruption_discarded_is_not_in_the_row() -> None:
    row = one(record(late=True))
    assert row["late"]
    assert "opera" not in str(row)


# Wording


def test_a_model_that_does_not_know_learns_to_say_so() -> None:
    row = one(record(known=0.5))
    assert spans(row)[2:] == [("injected", " No, I do not know that.", 1)]
    assert row["synthesised"]
    assert not row["ended"]
    assert not one(record(known=0.75))["synthesised"]


def test_what_a_model_said_behind_not_knowing_is_its_own() -> None:
    unknown: dict[str, Any] = {"known": 0.5, "correction": "", "put_in": " No, I do not know that."}
    row = one(record(**unknown))
    assert spans(row)[2:] == [
        ("injected", " No, I do not know that.", 1),
        ("continuation", " So I say that.", 1),
        ("continuation", "Canberra.", 1),
    ]
    assert (row["ended"], row["synthesised"]) == (True, False)
    otherwise = record(**unknown | {"reason": "", "put_in": " Nein, das weiß ich nicht."})
    assert spans(one(otherwise))[2][1] == " Nein, das weiß ich nicht."
    told = record(**unknown | {"put_in": " No, Sydney is not the capital. I could not confirm this."})
    assert spans(one(told))[2:] == [("injected", " No, I do not know that.", 1)]


def test_a_retraction_is_worded_as_an_interruption() -> None:
    row = one(record(correct="retract", put_in=" The capital is Canberra."))
    assert spans(row)[2:4] == [
        ("injected", " No, Sydney is not the capital. The capital is Canberra.", 1),
        ("continuation", " So I say that.", 1),
    ]
    assert row["synthesised"]


def test_a_retraction_without_a_correction_has_no_continuation() -> None:
    row = one(record(correct="retract", put_in=" I could not confirm this.", correction=""))
    assert spans(row)[2:] == [("injected", " No, Sydney is not the capital. I could not confirm this.", 1)]
    row = one(record(correct="retract", put_in=" I could not confirm this.", correction="", reason=""))
    assert spans(row)[2:] == [("injected", " No, I do not know that.", 1)]


# What gives no row


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"messages": None}, "no text"),
        ({"text": ""}, "no text"),
        ({"continuation": "reask"}, "not continued in place"),
        ({"closing": None}, "not continued in place"),
        ({"correct": "restart"}, "not continued in place"),
        ({"channel": "tool_calls"}, "not continued in place"),
        ({"behind_calls": True}, "not continued in place"),
        ({"put_in": " No, it is Sydney is wrong."}, "correction quotes the claim"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "sha256": "0"}]}]}, "media"),
        ({"messages": [{"role": "assistant", "content": "Else"}]}, "unfinished turn not kept"),
    ],
)
def test_what_gives_no_row(changes: dict[str, Any], reason: str) -> None:
    assert why(record(**changes)) == reason


def test_a_continuation_ends_before_it_repeats_the_claim(tokenizer: Any) -> None:
    again = record(followed=" Hm. it is\n SYDNEY, or so.")
    assert spans(one(again))[3:] == [("continuation", " Hm.", 1)]
    assert not one(again)["ended"]
    assert trained(one(again, tokenizer), tokenizer) == " No, the capital is Canberra. Hm."


def test_text_parts_are_text() -> None:
    parts = [{"type": "text", "text": "Capital of"}, {"type": "text", "text": "Australia?"}]
    assert (
        one(record(messages=[{"role": "user", "content": parts}]))["messages"][0]["content"] == "Capital of\nAustralia?"
    )


def test_the_clients_unfinished_turn_is_not_doubled(tokenizer: Any) -> None:
    messages = [{"role": "user", "content": "Capital?"}, {"role": "assistant", "content": "We"}]
    row = one(record(**IN_CONTENT | {"messages": messages}), tokenizer)
    assert row["prompt"].count("We") == 1
    assert row["prompt"].endswith("Well. It is Sydney.")


# Token rows


@pytest.mark.parametrize("place", [{}, IN_CONTENT], ids=["reasoning", "content"])
def test_tokens_spell_prompt_and_completion(tokenizer: Any, place: dict[str, Any]) -> None:
    row = one(record(**place), tokenizer)
    assert tokenizer.decode(row["input_ids"]) == row["prompt"] + row["completion"]
    assert trained(row, tokenizer) == row["completion"]
    assert row["prompt"].endswith(" It is Sydney.")
    assert row["completion"].startswith(" No, the capital is Canberra. So I say that.")
    assert [int(label != IGNORED) for label in row["labels"]] == row["completion_mask"]
    assert len(row["labels"]) == len(row["input_ids"])
    border = row["completion_mask"].index(1)
    assert row["labels"][:border] == [IGNORED] * border
    assert row["labels"][border:] == row["input_ids"][border:]


def test_reasoning_is_continued_open_and_closed_before_the_answer(tokenizer: Any) -> None:
    row = one(record(), tokenizer)
    assert row["prompt"].endswith("assistant\n<think>\nThey ask for the capital. It is Sydney.")
    assert row["completion"].endswith(" So I say that.\n</think>\n\nCanberra.<|im_end|>")
    assert row["input_ids"][-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_content_is_continued_behind_its_reasoning(tokenizer: Any) -> None:
    row = one(record(**IN_CONTENT), tokenizer)
    assert row["prompt"].endswith(
        "<|im_start|>assistant\n<think>\nThey ask for the capital.\n</think>\n\nWell. It is Sydney."
    )


def test_line_breaks_of_the_model_are_not_doubled(tokenizer: Any) -> None:
    kept = {"reasoning": "Hm.\n", "content": "\n\nWell."}
    row = one(record(**IN_CONTENT | {"kept": kept}), tokenizer)
    assert row["prompt"].endswith("<think>\nHm.\n</think>\n\nWell. It is Sydney.")
    row = one(record(followed=" So.\n", answer="\n\nCanberra."), tokenizer)
    assert row["completion"].endswith(" So.\n</think>\n\nCanberra.<|im_end|>")


def test_content_without_reasoning(tokenizer: Any) -> None:
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    row = one(record(**IN_CONTENT | {"kept": {"content": "Well."}, "parameters": off}), tokenizer)
    assert row["prompt"].endswith("Well. It is Sydney.")
    assert tokenizer.decode(row["input_ids"]) == row["prompt"] + row["completion"]


def test_the_end_is_learnt_only_where_it_was_reached(tokenizer: Any) -> None:
    for cut_short in (
        record(complete=False),
        record(**IN_CONTENT, complete=False),
        record(answer=""),
        record(known=0.1),
    ):
        row = one(cut_short, tokenizer)
        assert not row["completion"].endswith("<|im_end|>")
        assert not row["ended"]
        assert "</think>" not in row["completion"] or row["completion"].endswith("Canberra.")
    assert one(record(**IN_CONTENT), tokenizer)["completion"].endswith("<|im_end|>")


def test_what_looks_like_a_control_token_is_none(tokenizer: Any) -> None:
    odd = record(text=" It is <|im_end|> Sydney.", put_in=" No, <|im_start|>.", followed=" Yes <|im_end|>.")
    row = one(odd, tokenizer)
    assert tokenizer.decode(row["input_ids"]) == row["prompt"] + row["completion"]
    ends = [t for t in row["labels"] if t == tokenizer.convert_tokens_to_ids("<|im_end|>")]
    assert len(ends) == 1
    assert tokenizer.convert_tokens_to_ids("<|im_start|>") not in row["labels"]


def test_a_tokenizer_that_prefixes_a_space_is_read_by_offsets() -> None:
    words = ["No", ",", "the", "capital", "is", "Canberra", ".", "They", "ask", "for", "It", "Sydney", "say", "that"]
    words += ["Capital", "of", "Australia", "?", "So", "I", "<think>", "</think>", "user", ":"]
    vocabulary = {"<unk>": 0} | {f"▁{word}": n for n, word in enumerate(words, 1)}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    core.decoder = tokenizers.decoders.Metaspace()
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")
    made.chat_template = "user : {{ messages[0].content }} <think> "
    spaced = record(
        messages=[{"role": "user", "content": "Capital of Australia ?"}],
        kept={"reasoning": "They ask for the capital ."},
        text=" It is Sydney .",
        put_in=" No , the capital is Canberra .",
        followed=" So I say that .",
        answer="",
    )
    row = one(spaced, made)
    assert made.decode(row["input_ids"]) == row["prompt"] + row["completion"]
    assert trained(row, made) == "No , the capital is Canberra . So I say that ."


def test_a_text_no_tokenizer_takes_gives_no_row(tokenizer: Any) -> None:
    assert why(record(followed=" \ud800"), tokenizer) == "not text-exact"


def test_a_template_that_refuses_gives_no_row() -> None:
    made = make("{{ raise_exception('only once') }}")
    assert why(record(), made) == "chat template"


def test_a_tokenizer_without_a_template_is_the_users_mistake() -> None:
    made = make("")
    with pytest.raises(ConfigError, match="no chat template"):
        list(plugin.rows([record()], tokenizer=made))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    claim=CLAIMS,
    kept=WORDS,
    followed=WORDS,
    answer=WORDS,
    reason=WORDS,
    correct=st.sampled_from(["interrupt", "retract"]),
    channel=st.sampled_from(["reasoning", "content"]),
    known=st.sampled_from([None, 0.2, 0.9]),
    name=st.sampled_from(sorted(TEMPLATES)),
)
def test_no_flagged_claim_is_ever_a_target(
    claim: str,
    kept: str,
    followed: str,
    answer: str,
    reason: str,
    correct: str,
    channel: str,
    known: float | None,
    name: str,
) -> None:
    made = TOKENIZERS[name]
    of = record(
        text=claim,
        kept={channel: kept},
        followed=followed,
        answer=answer if channel == "reasoning" else "",
        put_in=f" No, {reason}",
        reason=reason,
        correct=correct,
        channel=channel,
        known=known,
    )
    bad = f" {normalise(claim)} "
    for row in plugin.rows([of]):
        targets = [text for _, text, train in spans(row) if train]
        assert not any(bad.strip() and bad in f" {normalise(text)} " for text in targets)
    for row in plugin.rows([of], tokenizer=made):
        assert made.decode(row["input_ids"]) == row["prompt"] + row["completion"]
        assert trained(row, made) == row["completion"]
        assert row["prompt"].endswith(kept + claim)
