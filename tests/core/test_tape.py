from __future__ import annotations

from dataclasses import replace
from typing import Any

from guard.core.events import Piece
from guard.core.tape import Tape, split_logprobs
from guard.core.types import GuardEvent

EVENT = GuardEvent(event="limit", id="i", channel="content", span=(0, 0))


def taped(*texts: str) -> Tape:
    tape = Tape()
    for text in texts:
        tape.append(Piece("content", text, {"raw": text}), len(text))
    return tape


def texts(pieces: list[Piece]) -> list[str]:
    return [piece.text for piece in pieces]


def logprobs(*tokens: str) -> dict[str, Any]:
    return {"content": [{"token": token} for token in tokens], "refusal": None}


def test_a_whole_piece_goes_out_as_it_came() -> None:
    tape = taped("one", "two")
    assert tape.release(3) == [Piece("content", "one", {"raw": "one"})]
    assert (tape.sent, tape.end) == (3, 6)


def test_a_piece_is_split_where_the_release_ends_and_its_chunk_fits_neither_half() -> None:
    tape = taped("one two")
    assert tape.release(3) == [Piece("content", "one")]
    assert tape.release(2) == []
    assert tape.release(99) == [Piece("content", " two")]


def test_a_piece_without_size_goes_with_what_stands_before_it() -> None:
    tape = taped("one")
    tape.append(Piece("content", "", "role"), 0)
    tape.append(Piece("content", "two"), 3)
    assert texts(tape.release(3)) == ["one", ""]


def test_text_is_what_was_sent_and_what_will_be_without_tags() -> None:
    tape = taped("one", "two")
    tape.append(Piece("content", "</think>", tag=True), 1)
    tape.append(Piece("reasoning", "other"), 5)
    tape.release(4)
    assert (tape.text("content"), tape.text("reasoning")) == ("onetwo", "other")
    tape.release(99)
    assert (tape.text("content"), tape.text("reasoning")) == ("onetwo", "other")


def test_what_is_held_is_counted_in_positions_of_its_channel() -> None:
    tape = taped("one", "two")
    tape.append(Piece("reasoning", "other"), 5)
    tape.append(Piece("content", "</think>", tag=True), 1)
    tape.append(Piece("content", "shown beside"), 0)
    tape.release(4)
    assert (tape.held("content"), tape.held("reasoning")) == (2, 5)


def test_a_cut_drops_what_is_held_and_splits_what_straddles_it() -> None:
    tape = taped("one", "two", "three")
    tape.cut(4)
    assert (tape.end, texts(tape.release(99))) == (4, ["one", "t"])


def test_a_cut_cannot_reach_what_was_sent() -> None:
    tape = taped("one", "two")
    tape.release(4)
    tape.cut(0)
    assert (tape.sent, tape.end, tape.release(99)) == (4, 4, [])


def test_a_cut_drops_pieces_without_size_behind_it_and_keeps_those_at_it() -> None:
    tape = taped("one")
    tape.append(Piece("content", "", "kept"), 0)
    tape.append(Piece("content", "two"), 3)
    tape.append(Piece("content", "", "gone"), 0)
    tape.cut(3)
    assert [piece.raw for piece in tape.release(99)] == [{"raw": "one"}, "kept"]


def test_an_insertion_stands_behind_what_ends_there() -> None:
    tape = taped("one", "two")
    tape.insert(3, Piece("content", "!", guard=EVENT))
    assert texts(tape.release(99)) == ["one", "!", "two"]


def test_an_insertion_splits_the_piece_it_falls_into() -> None:
    tape = taped("one two", "three")
    tape.insert(3, Piece("content", "!"))
    assert texts(tape.release(99)) == ["one", "!", " two", "three"]


def test_an_insertion_behind_what_was_sent_is_first_in_line() -> None:
    tape = taped("one", "two")
    tape.release(3)
    tape.insert(1, Piece("content", "!"))
    assert texts(tape.release(3)) == ["!"]
    assert texts(tape.release(99)) == ["two"]


def test_an_insertion_at_the_end_is_last() -> None:
    tape = taped("one")
    tape.insert(3, Piece("content", "!"))
    assert texts(tape.release(3)) == ["one", "!"]


def test_an_insertion_moves_the_places_that_later_pieces_tell_of() -> None:
    spans = [(0, 3), (3, 6), (2, 4), (3, 3)]
    tape = taped("one", "two")
    for span in spans:
        tape.append(Piece("content", "", guard=replace(EVENT, span=span, discarded=span)), 0)
    tape.append(Piece("content", "", guard=replace(EVENT, channel="reasoning", span=(9, 9))), 0)
    tape.insert(3, Piece("content", "!!"))
    events = [piece.guard for piece in tape.release(99) if piece.guard]
    assert [event.span for event in events] == [(0, 3), (5, 8), (2, 6), (5, 5), (9, 9)]
    assert [event.discarded for event in events] == [(0, 3), (5, 8), (2, 6), (5, 5), None]


def test_only_the_first_half_of_a_split_carries_the_event() -> None:
    tape = Tape()
    tape.append(Piece("content", "No, so.", guard=EVENT), 7)
    assert [p.guard for p in (*tape.release(3), *tape.release(9))] == [EVENT, None]


def test_log_probabilities_are_shared_out_and_a_straddling_token_stays_with_its_start() -> None:
    first, second = split_logprobs(logprobs("on", "e t", "wo"), 3)
    assert first == logprobs("on", "e t")
    assert second == logprobs("wo")


def test_log_probabilities_of_an_unknown_shape_belong_to_neither_half() -> None:
    assert split_logprobs(None, 1) == (None, None)
    assert split_logprobs({"content": None}, 1) == (None, None)


def test_a_raw_completions_log_probabilities_are_shared_out_too() -> None:
    told = {
        "tokens": ["One", ".", " Two"],
        "token_logprobs": [-1, -2, -3],
        "top_logprobs": None,
        "text_offset": [0, 3, 4],
    }
    before, after = split_logprobs(told, 4)
    assert before == {"tokens": ["One", "."], "token_logprobs": [-1, -2], "top_logprobs": None, "text_offset": [0, 3]}
    assert after == {"tokens": [" Two"], "token_logprobs": [-3], "top_logprobs": None, "text_offset": [4]}
    assert split_logprobs({"content": [3, {"token": "ab"}]}, 2) == ({"content": [3, {"token": "ab"}]}, {"content": []})
    assert split_logprobs({"other": 1}, 2) == (None, None)
