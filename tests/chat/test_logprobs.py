"""Log-probabilities: as tokens where they spell the text, and gone without a trace where only guard asked."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.chat.logprobs import only_alternatives, tokens, without_logprobs
from guard.chat.reader import Reader
from guard.chat.tags import TagSplitter
from guard.core.events import Delta

WORDS = st.lists(
    st.sampled_from(["Ada", " was", "é", " 東", "京.", '"', "\n", "\\", "<think>", "</think>"]), max_size=9
)


def told(words: list[str], most: int = 0) -> dict[str, Any]:
    return {
        "content": [
            {"token": word, "logprob": -0.5 * i, "bytes": list(word.encode()), "top_logprobs": top(most)}
            for i, word in enumerate(words)
        ]
    }


def top(most: int) -> list[dict[str, Any]]:
    return [{"token": f"t{i}", "logprob": -0.25 * i, "bytes": [116]} for i in range(most)]


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


@given(WORDS, st.integers(0, 6), st.integers(0, 6))
def test_alternatives_are_read_as_far_as_they_are_wanted(words: list[str], come: int, most: int) -> None:
    for token in tokens(told(words, come), "".join(words), most):
        assert list(token.top_texts) == [f"t{i}" for i in range(min(come, most))]
        assert token.top == tuple((-1, -0.25 * i) for i in range(min(come, most)))


@pytest.mark.parametrize(
    "odd", [None, 3, {"token": "x"}, {"token": 3, "logprob": -1}, {"token": "x", "logprob": "low"}]
)
def test_alternatives_are_read_up_to_one_that_is_none(odd: Any) -> None:
    entry = {"token": "Ada", "logprob": -1, "top_logprobs": [*top(2), odd, *top(1)]}
    assert [token.top_texts for token in tokens({"content": [entry]}, "Ada", 4)] == [("t0", "t1")]
    assert [token.top_texts for token in tokens({"content": [entry | {"top_logprobs": odd}]}, "Ada", 4)] == [()]


def lists(words: list[str]) -> dict[str, Any]:
    """What a raw completion tells."""
    return {
        "text_offset": [0] * len(words),
        "tokens": words,
        "token_logprobs": [-0.5 * i for i in range(len(words))],
        "top_logprobs": [{"t1": -3.0, "t0": -0.5, "no": None, "t2": -4} for _ in words],
    }


@given(WORDS)
def test_a_raw_completions_parallel_lists_are_read_too(words: list[str]) -> None:
    found = tokens(lists(words), "".join(words), 2)
    assert [(token.text, token.logprob) for token in found] == [(word, -0.5 * i) for i, word in enumerate(words)]
    assert {(token.top_texts, token.top) for token in found} <= {(("t0", "t1"), ((-1, -0.5), (-1, -3.0)))}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"top_logprobs": None}, [()]),
        ({"top_logprobs": [{}, {}]}, [()]),
        ({"top_logprobs": [None]}, [()]),
        ({"tokens": "Ada"}, []),
        ({"tokens": ["Eve"]}, []),
        ({"tokens": [None]}, []),
        ({"token_logprobs": []}, []),
        ({"token_logprobs": None}, []),
        ({"token_logprobs": [None]}, []),
        ({"content": None}, []),
    ],
)
def test_lists_that_do_not_fit_each_other_tell_nothing(change: Any, found: list[Any]) -> None:
    assert [token.top_texts for token in tokens(lists(["Ada"]) | change, "Ada", 2)] == found


def event(words: list[str], asked: bool, n: int = 1, spaces: Any = None, most: int = 0) -> bytes:
    choices = [
        {
            "index": i,
            "delta": {"content": "".join(words)},
            "logprobs": told(words, most) if asked else None,
            "x": [1, "ü"],
        }
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


@given(WORDS, st.integers(1, 2), st.integers(0, 5), st.integers(0, 5), st.sampled_from([None, (",", ":")]))
def test_taking_alternatives_out_leaves_the_bytes_of_a_server_that_was_asked_for_fewer(
    words: list[str], n: int, come: int, most: int, spaces: Any
) -> None:
    raw, plain = (event(words, True, n, spaces, each) for each in (come, min(come, most)))
    spaced = plain if spaces else raw
    found, anew = without_logprobs(raw[6:-4], raw, most)
    assert json.loads(found) == json.loads(plain[6:-4])
    assert anew == b"data: " + found + b"\r\n\r\n"
    if come <= most:
        assert anew == spaced == raw
    elif spaces:
        assert anew == plain
    logprobs = json.loads(found)["choices"][0]["logprobs"]
    assert only_alternatives(told(words, come), most) == logprobs == told(words, min(come, most))


@pytest.mark.parametrize(
    "logprobs", [b"null", b"7", b'{"content":null}', b'{"content":[null,[],{},{"top_logprobs":null}]}', b'{"a":[1]}']
)
def test_what_tells_no_alternatives_stays_as_it_is(logprobs: bytes) -> None:
    data = b'{"choices":[{"logprobs":' + logprobs + b"}]}"
    assert without_logprobs(data, None, 1)[0] == data
    assert only_alternatives(json.loads(logprobs), 1) == json.loads(logprobs)


def test_an_event_of_several_lines_is_written_anew() -> None:
    data = event(["Ada"], True)[6:-4].replace(b'"bytes"', b'\n"bytes"')
    raw = b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"
    stripped, anew = without_logprobs(data, raw)
    assert json.loads(stripped)["choices"][0]["logprobs"] is None
    assert anew == b"data: " + stripped + b"\n\n"


NULLED = [
    (b'{"choices":[{"logprobs":1},{"logprobs":12}]}', b'{"choices":[{"logprobs":null},{"logprobs":null}]}'),
    (b'{"choices":[{"logprobs" : 12 ,"a":1}] , "b": 1e999}', b'{"choices":[{"logprobs" : null ,"a":1}] , "b": 1e999}'),
    (
        b'{"odd":{"logprobs":7},"choices":[{"message":{"logprobs":7},"logprobs":7}]}',
        b'{"odd":{"logprobs":7},"choices":[{"message":{"logprobs":7},"logprobs":null}]}',
    ),
    # an object with a name that is spelled with escapes, or there twice, is written anew
    (b'{"choices": [{"a": 1.50, "logprob\\u0073": [1]}]}', b'{"choices": [{"a":1.50,"logprobs":null}]}'),
    (b'{"choices": [{"logprobs":[1],"logprobs":null}]}', b'{"choices": [{"logprobs":null}]}'),
    (b'{"choices": [{"logprobs":12,"a":0,"logprobs":1}]}', b'{"choices": [{"logprobs":null,"a":0}]}'),
    (b'{"choices":[{"logprobs":[1]}], "choices":[{"logprobs":[2]}]}', b'{"choices":[{"logprobs":null}]}'),
    # nothing to take out
    (b" { } ", b" { } "),
    (b'{"choices": null, "logprobs": 1}', b'{"choices": null, "logprobs": 1}'),
    (b'{"choices":[ null , []]}', b'{"choices":[ null , []]}'),
]


@pytest.mark.parametrize(("data", "wanted"), NULLED)
def test_only_the_choices_own_members_are_taken_out(data: bytes, wanted: bytes) -> None:
    assert without_logprobs(data, b"id: 4\ndata:" + data + b"\r\n\r\n") == (
        wanted,
        b"id: 4\ndata:" + wanted + b"\r\n\r\n",
    )


def test_lines_that_stay_are_lines_of_data() -> None:
    data = b'{"a": 1,\n"choices": [{"logprobs": [1]}]}'
    assert without_logprobs(data, b'data: {"a": 1,\ndata: "choices": [{"logprobs": [1]}]}\n\n') == (
        b'{"a": 1,\n"choices": [{"logprobs": null}]}',
        b'data: {"a": 1,\ndata: "choices": [{"logprobs": null}]}\n\n',
    )


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["logprobs", "choices", "a", "ü", '"']), inner, max_size=3)
    ),
    max_leaves=8,
)
CHOICES = st.lists(
    st.fixed_dictionaries({}, optional={"index": JSON, "logprobs": JSON, "é": JSON, "z": JSON}), max_size=3
)


@given(CHOICES, JSON, JSON, st.booleans(), st.sampled_from([None, (",", ":")]))
def test_whatever_stands_around_them_only_they_are_gone(
    choices: list[dict[str, Any]], before: Any, behind: Any, ascii: bool, spaces: Any
) -> None:
    document = {"before": before, "choices": choices, "behind": behind}
    hidden = document | {"choices": [c | {"logprobs": None} if "logprobs" in c else c for c in choices]}
    data, wanted = (json.dumps(d, ensure_ascii=ascii, separators=spaces).encode() for d in (document, hidden))
    found, _ = without_logprobs(data, None)
    assert json.loads(found) == hidden
    if not ascii:  # no name is spelled with escapes
        assert found == wanted


def test_no_pattern_is_made_of_what_an_event_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    data, wanted = event(["Ada"], True)[6:-4], event(["Ada"], False)[6:-4]
    compiled = re.compile

    def counted(pattern: Any) -> Any:
        made.append(pattern)
        return compiled(pattern)

    with monkeypatch.context() as patch:
        patch.setattr(re, "compile", counted)
        found = without_logprobs(data, None)[0]
    assert (found, made) == (wanted, [])


def read(stream: bytes, hide: bool, sizes: int, **wanted: Any) -> list[Any]:
    reader = Reader(
        0,
        {0: 0},
        where="up:1",
        splitter=lambda: TagSplitter(("<think>", "</think>"), "undecided"),
        forms={},
        hide=hide,
        **wanted,
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


@given(st.lists(WORDS, max_size=6), st.sampled_from([0, 1, 40]))
def test_a_reader_that_shows_fewer_alternatives_brings_those_of_a_server_asked_for_fewer(
    said: list[list[str]], sizes: int
) -> None:
    spaces = (",", ":")
    many, few = (b"".join(event(words, True, 1, spaces, most) for words in said) + END for most in (4, 2))
    shown, plain = read(many, False, sizes, most=2, top=4), read(few, False, 0, top=4)
    for one, other in zip(shown, plain, strict=True):
        if isinstance(one, Delta):
            assert [token.text for token in one.tokens] == [token.text for token in other.tokens]
            assert {len(token.top) for token in one.tokens} <= {4}
            one.tokens = other.tokens = ()
        assert one == other


def test_whose_client_asked_gets_them_and_guard_reads_them_too() -> None:
    (delta,) = [one for one in read(event(["Ada", " was"], True) + END, False, 0) if isinstance(one, Delta)]
    assert delta.logprobs == told(["Ada", " was"])
    assert [token.text for token in delta.tokens] == ["Ada", " was"]


END = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
