"""Log-probabilities: as tokens where they spell the text, and gone without a trace where only guard asked."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.chat.logprobs import tokens, without_logprobs
from guard.chat.reader import Reader
from guard.chat.tags import TagSplitter
from guard.core.events import Delta

WORDS = st.lists(
    st.sampled_from(["Ada", " was", "é", " 東", "京.", '"', "\n", "\\", "<think>", "</think>"]), max_size=9
)


def told(words: list[str]) -> dict[str, Any]:
    return {
        "content": [
            {"token": word, "logprob": -0.5 * i, "bytes": list(word.encode()), "top_logprobs": []}
            for i, word in enumerate(words)
        ]
    }


@given(WORDS)
def test_tokens_spell_the_text(words: list[str]) -> None:
    found = tokens(told(words), "".join(words))
    assert [(token.id, token.text, token.logprob) for token in found] == [
        (-1, word, -0.5 * i) for i, word in enumerate(words)
    ]


def test_a_character_may_lie_in_two_tokens() -> None:
    first, second = "é".encode()[:1], "é".encode()[1:] + b"t"
    entries = [
        {"token": "?", "logprob": -1, "bytes": list(first)},
        {"token": "?", "logprob": -2, "bytes": list(second)},
    ]
    assert [token.text for token in tokens({"content": entries}, "ét")] == ["", "ét"]


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"content": None},
        {"content": []},
        told(["Eve"]),
        told(["Ada", " "]),
        {"content": [None]},
        {"content": [{"token": "Ada"}]},
        {"content": [{"token": 3, "logprob": -1}]},
        {"content": [{"token": "Ada", "logprob": "high"}]},
        {"content": [{"token": "A", "logprob": -1}, {"token": "da", "logprob": None}]},
        [1],
    ],
)
def test_what_does_not_spell_the_text_is_no_token(logprobs: Any) -> None:
    assert tokens(logprobs, "Ada") == ()


def test_without_bytes_the_tokens_text_counts() -> None:
    assert [t.text for t in tokens({"content": [{"token": "Ada", "logprob": -1, "bytes": None}]}, "Ada")] == ["Ada"]


def event(words: list[str], asked: bool, n: int = 1, spaces: Any = None) -> bytes:
    choices = [
        {"index": i, "delta": {"content": "".join(words)}, "logprobs": told(words) if asked else None, "x": [1, "ü"]}
        for i in range(n)
    ]
    document = {"id": "c1", "choices": choices, "odd": {"logprobs": 1}}
    return b"data: " + json.dumps(document, separators=spaces, ensure_ascii=False).encode() + b"\r\n\r\n"


@given(WORDS, st.integers(1, 2), st.sampled_from([None, (",", ":")]))
def test_taking_them_out_leaves_the_bytes_of_a_server_that_was_not_asked(words: list[str], n: int, spaces: Any) -> None:
    raw, plain = event(words, True, n, spaces), event(words, False, n, spaces)
    data, wanted = raw[6:-4], plain[6:-4]
    assert without_logprobs(data, raw) == (wanted, plain)
    assert without_logprobs(data, None) == (wanted, None)
    assert without_logprobs(wanted, plain) == (wanted, plain)


def test_an_event_of_several_lines_is_written_anew() -> None:
    data = event(["Ada"], True)[6:-4].replace(b'"bytes"', b'\n"bytes"')
    raw = b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"
    stripped, anew = without_logprobs(data, raw)
    assert json.loads(stripped)["choices"][0]["logprobs"] is None
    assert anew == b"data: " + stripped + b"\n\n"


def read(stream: bytes, hide: bool, sizes: int) -> list[Any]:
    reader = Reader(
        0,
        {0: 0},
        where="up:1",
        splitter=lambda: TagSplitter(("<think>", "</think>"), "undecided"),
        forms={},
        hide=hide,
    )
    dice, items = random.Random(sizes), []
    while stream:
        size = len(stream) if sizes == 0 else dice.randint(1, sizes)
        items += reader.feed(stream[:size])
        stream = stream[size:]
    items += reader.finish()
    assert reader.error is None
    return [item[1] for item in items if isinstance(item, tuple)]


@given(st.lists(WORDS, max_size=6), st.sampled_from([0, 1, 40]))
def test_a_reader_that_hides_them_brings_what_it_would_have_without_and_tokens(
    said: list[list[str]], sizes: int
) -> None:

    hidden = read(b"".join(event(words, True) for words in said) + END, True, sizes)
    plain = read(b"".join(event(words, False) for words in said) + END, False, 0)
    for one in hidden:
        if isinstance(one, Delta):
            assert one.logprobs is None
            assert "".join(token.text for token in one.tokens) in ("", one.text)
            one.tokens = ()
    assert hidden == plain


def test_whose_client_asked_gets_them_and_guard_reads_them_too() -> None:
    (delta,) = [one for one in read(event(["Ada", " was"], True) + END, False, 0) if isinstance(one, Delta)]
    assert delta.logprobs == told(["Ada", " was"])
    assert [token.text for token in delta.tokens] == ["Ada", " was"]


END = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
