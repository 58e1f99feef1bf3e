from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guard.core.transcript import Span, Transcript
from guard.core.types import Token


def written(*parts: str) -> Transcript:
    transcript = Transcript("content")
    for part in parts:
        transcript.append(part)
    return transcript


def test_an_empty_transcript_has_nothing() -> None:
    empty = written("")
    assert (len(empty), empty.text(), empty.spans, empty.tokens(0, 9), empty.cut(0)) == (0, "", (), (), "")


def test_spans_say_who_wrote_what_in_which_attempt() -> None:
    transcript = Transcript("reasoning")
    transcript.append("Pre ", "client")
    transcript.append("one ")
    transcript.append("two ")
    transcript.append("No. ", "guard", 1)
    transcript.append("three", "model", 1)
    expected = (
        Span(0, 4, "client", 0),
        Span(4, 12, "model", 0),
        Span(12, 16, "guard", 1),
        Span(16, 21, "model", 1),
    )
    assert transcript.spans == expected
    assert transcript.by("model") == "one two three"
    assert transcript.by("guard", "client") == "Pre No. "


def test_a_cut_returns_what_it_drops_and_shortens_the_spans() -> None:
    transcript = written("abc", "def")
    transcript.append("ghi", "guard")
    assert transcript.cut(4) == "efghi"
    assert (transcript.text(), len(transcript), transcript.spans) == ("abcd", 4, (Span(0, 4, "model", 0),))
    transcript.append("X")
    assert transcript.text() == "abcdX"


def test_a_cut_at_the_start_leaves_nothing() -> None:
    transcript = written("abc")
    assert (transcript.cut(0), transcript.text(), transcript.spans) == ("abc", "", ())


def test_tokens_are_those_that_begin_inside() -> None:
    transcript = Transcript("content")
    tokens = [Token(id=1, text="ab"), Token(id=2, text="cd"), Token(id=3, text="ef")]
    transcript.append("abcdef", tokens=tokens)
    assert transcript.tokens(1, 4) == (tokens[1],)
    assert transcript.tokens(0, 5) == tuple(tokens)
    transcript.cut(3)
    assert transcript.tokens(0, 9) == tuple(tokens[:2])


@given(parts=st.lists(st.text(min_size=1, max_size=5), max_size=8), data=st.data())
def test_a_slice_is_the_slice_of_all_parts(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    assert written(*parts).text(start, end) == text[start:end]
