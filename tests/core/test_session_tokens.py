"""The tokens that followed a correction: exactly the model's, wholly inside the text, however the deltas were cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.core import events as ev
from guard.core.transcript import Transcript
from guard.core.types import Closing, Spelled, Token
from tests.core.harness import Harness, policy

WORDS = st.sampled_from(
    ["Ada", " was", " born", " in", " Kar", "gate", ".", ". The", " BAD", "\n", "! ", ' "é" ', "東京"]
)
SCRIPT = st.lists(WORDS, min_size=1, max_size=20)
TOP = ((7, -0.1), (8, -0.2), (9, -0.3))


def spelled(words: list[str], attempt: int) -> list[Token]:
    return [
        Token(id=1000 * attempt + i, text=word, logprob=-0.1 * i, top=TOP, top_texts=("a", "b", "c"))
        for i, word in enumerate(words)
    ]


def turn(scripts: list[tuple[list[str], list[str]]], sizes: list[int], keep: int = 2, **fields: Any) -> Harness:
    """Attempt n thinks and answers script n, `sizes` tokens a delta by turns; 0 is all of a channel at once."""
    record = {"top_logprobs": keep}
    interrupt = {"cooldown_segments": 0, "max_per_response": 2}
    harness = Harness(policy(interrupt=interrupt, record=record, **fields))
    attempt = 0
    while True:
        harness.feed(ev.Opened(attempt, "token_exact" if attempt else None))
        number = 0
        for channel, words in zip(("reasoning", "content"), scripts[min(attempt, len(scripts) - 1)], strict=True):
            rest = spelled(words, attempt)
            while rest:
                size = sizes[number % len(sizes)] or len(rest)
                now, rest, number = tuple(rest[:size]), rest[size:], number + 1
                text = "".join(token.text for token in now)
                harness.feed(ev.Delta(attempt, channel, text, tokens=now))  # type: ignore[arg-type]
        harness.feed(ev.Finished(attempt, "stop"))
        if len(harness.opened) <= attempt:
            return harness
        attempt += 1


def closings(harness: Harness) -> tuple[Closing, ...]:
    assert harness.finish
    return harness.finish.closings


def words_of(tokens: Spelled) -> list[str]:
    return [token.text for _, token in tokens]


def stand(text: str, tokens: Spelled) -> None:
    """Each token stands where it says, they do not overlap, and what they leave out is less than a token of ours."""
    end = 0
    for at, token in tokens:
        assert at >= end
        assert text[at : at + len(token.text)] == token.text
        end = at + len(token.text)
    assert len(text) - sum(len(token.text) for _, token in tokens) < 2 * max(map(len, [". The", "東京"]))


@settings(deadline=None)
@given(
    scripts=st.lists(st.tuples(SCRIPT, SCRIPT), min_size=1, max_size=3),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    retract=st.booleans(),
)
def test_they_lie_wholly_inside_the_text_however_the_deltas_were_cut(
    scripts: list[tuple[list[str], list[str]]], sizes: list[int], retract: bool
) -> None:
    reasoning = {"release": "checked", "correct": "retract"} if retract else {"release": "immediate"}
    fields: dict[str, Any] = {
        "watch": {"reasoning": reasoning, "content": {"release": "checked", "correct": "retract"}}
    }
    made = closings(turn(scripts, sizes, **fields))
    for closing in made:
        stand(closing.followed, closing.followed_tokens)
        stand(closing.answer, closing.answer_tokens)
    assert closings(turn(scripts, [1], **fields)) == closings(turn(scripts, [0], **fields)) == made


@pytest.mark.parametrize("sizes", [[1], [0], [2, 3]])
def test_what_followed_and_the_answer_are_spelled_by_the_attempt_that_went_on(sizes: list[int]) -> None:
    scripts: Any = [
        (["It", " is", " BAD", ".", " Gone"], []),
        ([" So", " it", " is", "."], ["Yes", ", it", " is", "."]),
    ]
    (closing,) = closings(turn(scripts, sizes))
    assert [(at, token.id) for at, token in closing.followed_tokens] == [(0, 1000), (3, 1001), (6, 1002), (9, 1003)]
    assert [(at, token.id) for at, token in closing.answer_tokens] == [(0, 1000), (3, 1001), (7, 1002), (10, 1003)]
    assert "".join(words_of(closing.followed_tokens)) == closing.followed
    assert "".join(words_of(closing.answer_tokens)) == closing.answer
    told = closing.answer_tokens[1][1]
    assert (told.logprob, told.top, told.top_texts) == (-0.1, TOP[:2], ("a", "b"))


def test_a_token_that_goes_on_into_the_next_claim_is_not_kept() -> None:
    scripts: Any = [
        (["It", " is", " BAD", "."], []),
        ([" So", " it is", ". The", " end", " is BAD", "."], []),
        ([" On."], []),
    ]
    first, second = closings(turn(scripts, [1]))
    assert (first.followed, words_of(first.followed_tokens)) == (" So it is.", [" So", " it is"])
    assert words_of(second.followed_tokens) == [" On."]


def test_without_the_policys_wish_none_is_kept() -> None:
    scripts: Any = [(["It", " is", " BAD", "."], []), ([" So", "."], ["Yes", "."])]
    (closing,) = closings(turn(scripts, [1], keep=0))
    assert (closing.followed, closing.followed_tokens, closing.answer_tokens) == (" So.", (), ())


def test_of_a_turn_that_broke_off_only_what_was_judged_is_spelled() -> None:
    harness = Harness(policy(record={"top_logprobs": 1})).say("A BAD one. x").open()
    now = tuple(spelled([" Right", ".", " And", " th"], 1))
    harness.feed(ev.Delta(1, "reasoning", " Right. And th", tokens=now), ev.ClientLeft())
    assert words_of(closings(harness)[0].followed_tokens) == [" Right", "."]


def test_an_upstream_that_tells_none_leaves_none() -> None:
    harness = Harness(policy(record={"top_logprobs": 1})).say("A BAD one. x").open().say(" Right.").end()
    assert (closings(harness)[0].followed, closings(harness)[0].followed_tokens) == (" Right.", ())


def test_where_some_text_came_without_tokens_the_others_keep_their_places() -> None:
    harness = Harness(policy(record={"top_logprobs": 1})).say("A BAD one. x").open().say(" Right")
    harness.feed(ev.Delta(1, "reasoning", " so.", tokens=tuple(spelled([" so", "."], 1)))).end()
    assert [(at, token.text) for at, token in closings(harness)[0].followed_tokens] == [(6, " so"), (9, ".")]


def test_within_leaves_out_what_a_cut_went_through_and_what_does_not_stand() -> None:
    transcript = Transcript("content")
    assert transcript.within(0, 0) == ()
    transcript.append("One two", tokens=[Token(id=1, text="One"), Token(id=2, text=" two")])
    transcript.cut(5)
    transcript.append("two", tokens=[Token(id=3, text="two")])
    assert transcript.text() == "One ttwo"
    assert [(at, token.id) for at, token in transcript.within(0, 8)] == [(0, 1), (5, 3)]
    transcript.append("...", tokens=[Token(id=4, text="!!!")])
    assert [token.id for _, token in transcript.within(5, 11)] == [3]
    assert [(at, token.id) for at, token in transcript.within(1, 8)] == [(4, 3)]
    again = Transcript("content")
    again.append("One two", tokens=[Token(id=1, text="One"), Token(id=2, text=" two")])
    again.cut(5)
    again.append("wo", tokens=[Token(id=3, text="wo")])
    assert [(at, token.id) for at, token in again.within(0, 7)] == [(0, 1), (5, 3)]


def test_a_token_without_text_of_its_own_stands_with_the_text_behind_it() -> None:
    harness = Harness(policy(record={"top_logprobs": 1})).say("A BAD one. x").open()
    for words in ([" So", "."], ["", "", " 東", "."]):
        harness.feed(ev.Delta(1, "reasoning", "".join(words), tokens=tuple(spelled(words, 1))))
    (closing,) = closings(harness.end())
    assert [at for at, _ in closing.followed_tokens] == [0, 3, 4, 4, 4, 6]
