"""A segment's tokens: where they stand, whoever cut the deltas, and what a correction does to them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core import events as ev
from guard.core.types import Finding, Segment, Spelled, Token
from tests.core.harness import Harness, bad, policy

WORDS = st.sampled_from(
    ["Ada", " was", " born", " in", " Kar", "gate", ".", ". The", " BAD", "\n", "! ", ' "é" ', "東京"]
)
SCRIPT = st.lists(WORDS, min_size=1, max_size=30)
Seen = dict[tuple[int, int], tuple[str, Spelled]]


def tokens_of(words: list[str], attempt: int) -> list[Token]:
    return [Token(id=1000 * attempt + i, text=word, logprob=-0.1 * i) for i, word in enumerate(words)]


def play(scripts: list[list[str]], sizes: list[int], channel: Any) -> tuple[Harness, Seen]:
    """Attempt n says script n, `sizes` tokens a delta by turns."""
    seen: Seen = {}

    def look(segment: Segment) -> tuple[Finding, ...] | ev.Unchecked:
        seen[segment.id, segment.start] = (segment.text, harness.session.tokens(segment))
        for kept in harness.session.kept:
            if (kept.id, kept.start) in seen and kept.id < segment.id:
                assert seen[kept.id, kept.start][1] == harness.session.tokens(kept)
        return bad(segment)

    harness = Harness(policy(interrupt={"cooldown_segments": 0, "max_per_response": 2}), inline={"quick": look})
    attempt = 0
    while True:
        harness.feed(ev.Opened(attempt, "token_exact" if attempt else None))
        rest, turn = tokens_of(scripts[min(attempt, len(scripts) - 1)], attempt), 0
        while rest:
            size = sizes[turn % len(sizes)]
            now, rest, turn = tuple(rest[:size]), rest[size:], turn + 1
            harness.feed(ev.Delta(attempt, channel, "".join(token.text for token in now), tokens=now))
        harness.feed(ev.Finished(attempt, "stop"))
        if len(harness.opened) <= attempt:
            return harness, seen
        attempt += 1


@pytest.mark.parametrize("channel", ["reasoning", "content"])
@given(scripts=st.lists(SCRIPT, min_size=1, max_size=3), sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_tokens_stand_where_their_text_does_however_the_deltas_were_cut(
    scripts: list[list[str]], sizes: list[int], channel: Any
) -> None:
    _, seen = play(scripts, sizes, channel)
    for text, told in seen.values():
        end = 0
        for at, token in told:
            assert at >= end
            end = at + len(token.text)
            assert text[at:end] == token.text[: len(text) - at] != ""
    assert play(scripts, [1], channel)[1] == play(scripts, [99], channel)[1] == seen


@given(SCRIPT)
def test_without_a_cut_every_token_with_text_in_a_segment_is_told_once(words: list[str]) -> None:
    words = [word for word in words if word != " BAD"]
    _, seen = play([words], [3], "content")
    told = [token.id for _, spelling in seen.values() for _, token in spelling]
    assert told == sorted(set(told))
    last = max((i for i, word in enumerate(words) if word.strip()), default=-1)
    assert told[: last + 1] == list(range(last + 1))


def test_what_a_correction_wrote_and_what_was_discarded_have_no_tokens() -> None:
    scripts = [["It", " is", " BAD", ".", " Gone", "."], [" So", " it", " is", "."]]
    harness, seen = play(scripts, [1], "reasoning")
    assert harness.records
    assert [(text, [token.text for _, token in told]) for text, told in seen.values()] == [
        ("It is BAD.", ["It", " is", " BAD", "."]),
        (" So it is.", [" So", " it", " is", "."]),
    ]


def test_tokens_that_do_not_spell_the_text_are_left_out() -> None:
    told: list[Spelled] = []

    def look(segment: Segment) -> tuple[Finding, ...]:
        told.append(harness.session.tokens(segment))
        return ()

    harness = Harness(policy(), inline={"quick": look})
    wrong, right = Token(id=1, text="Eve"), Token(id=2, text=" is")
    harness.feed(ev.Opened(0), ev.Delta(0, "content", "Ada is.", tokens=(wrong, right)), ev.Finished(0, "stop"))
    assert told == [((3, right),)]


def test_a_tool_call_has_none() -> None:
    harness = Harness(policy())
    call = Segment(id=0, channel="tool_calls", start=0, end=2, text="{}", attempt=0, tool="find")
    assert harness.session.tokens(call) == ()
