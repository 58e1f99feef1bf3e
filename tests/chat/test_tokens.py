"""The prompt that continues a turn from its token ids: the ids that were told, and nothing that was not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.chat.chunks import decode as read
from guard.chat.tags import Start
from guard.chat.tokens import Collector, Entry, Tape, splice
from guard.core.types import Resume

TAGS = ("<think>", "</think>")
PROMPT = (900, 901)
OPEN, CLOSE = 1000, 1001


def encode(text: str) -> list[int]:
    """Two characters a token: the same text has other ids when it is cut elsewhere."""
    return [ord(text[i]) * 256 + (ord(text[i + 1]) if i + 1 < len(text) else 0) for i in range(0, len(text), 2)]


def decode(ids: Any) -> str:
    tags = {OPEN: TAGS[0], CLOSE: TAGS[1]}
    return "".join(tags.get(i) or chr(i >> 8) + (chr(i & 255) if i & 255 else "") for i in ids if i not in PROMPT)


def grouped(ids: list[int], sizes: list[int]) -> list[list[int]]:
    groups, sizes = [], sizes or [1]
    for at in range(10_000):
        if not ids:
            break
        size = sizes[at % len(sizes)]
        groups.append(ids[:size])
        ids = ids[size:]
    return groups


def in_fields(ids: list[int], sizes: list[int]) -> list[Entry]:
    """As a server with a reasoning parser tells them: tags have ids and no text."""
    entries, inside = [], True
    for group in grouped(ids, sizes):
        said = {"reasoning": "", "content": ""}
        for id_ in group:
            if id_ == CLOSE:
                inside = False
            elif id_ != OPEN:
                said["reasoning" if inside else "content"] += decode([id_])
        entries.append(Entry(tuple(group), **said))
    return entries


def inline(ids: list[int], sizes: list[int]) -> list[Entry]:
    """As one without tells them."""
    return [Entry(tuple(group), content=decode(group)) for group in grouped(ids, sizes)]


WORDS = st.text("ab .", min_size=1, max_size=30)
SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@given(WORDS, WORDS, WORDS, SIZES, st.booleans(), st.booleans(), st.booleans(), st.data())
def test_the_prompt_is_the_text_that_is_kept(
    thought: str, said: str, put_in: str, sizes: list[int], fields: bool, forced: bool, in_content: bool, data: Any
) -> None:
    ids = [*([] if forced else [OPEN]), *encode(thought), CLOSE, *encode(said)]
    start: Start = "open" if forced else "undecided"
    tape = Tape(prompt=PROMPT, start=start, running=(in_fields if fields else inline)(ids, sizes))
    text = said if in_content else thought
    kept = text[: data.draw(st.integers(0, len(text)))]
    turn: Any = {"reasoning": thought, "content": kept + put_in} if in_content else {"reasoning": kept + put_in}
    before = ("" if forced else TAGS[0]) + (thought + TAGS[1] if in_content else "")
    channel: Any = "content" if in_content else "reasoning"
    spliced = splice(tape, Resume(kept=turn, open_channel=channel, put_in=put_in), TAGS, encode, decode)
    if spliced is None:
        assert max(sizes) > 1  # one token a delta can always be cut
        return
    prompt, onward = spliced
    assert prompt[: len(PROMPT)] == PROMPT
    assert decode(prompt) == before + kept + put_in
    assert [entry for entry in onward.kept if entry.content.endswith(put_in) or entry.reasoning.endswith(put_in)]
    own = prompt[len(PROMPT) : len(PROMPT) + len(ids)]
    same = next((i for i, (a, b) in enumerate(zip(own, ids, strict=False)) if a != b), min(len(own), len(ids)))
    whole = len(before.replace(TAGS[0], "").replace(TAGS[1], "")) + len(kept)
    assert same >= (whole - 2 * max(sizes)) // 2  # all but the delta in which the cut falls are the model's own ids


@given(WORDS, WORDS, WORDS, st.data())
def test_a_turn_that_was_continued_is_continued_again(first: str, second: str, put_in: str, data: Any) -> None:
    tape = Tape(prompt=PROMPT, start="open", running=inline(encode(first), [1]))
    kept = first[: data.draw(st.integers(0, len(first)))] + put_in
    resume = Resume(kept={"reasoning": kept}, open_channel="reasoning", put_in=put_in)
    spliced = splice(tape, resume, TAGS, encode, decode)
    assert spliced is not None
    _, tape = spliced
    tape.start = "inside"
    tape.running += inline([*encode(second), CLOSE, *encode(first)], [1])
    turn: Any = {"reasoning": kept + second, "content": first + put_in}
    again = splice(tape, Resume(kept=turn, open_channel="content", put_in=put_in), TAGS, encode, decode)
    assert again is not None
    assert decode(again[0]) == kept + second + TAGS[1] + first + put_in


def test_ids_that_do_not_spell_the_text_are_not_used() -> None:
    resume = Resume(kept={"content": "abc!"}, open_channel="content", put_in="!")

    def spliced(tape: Tape) -> Any:
        return splice(tape, resume, TAGS, encode, decode)

    good = Tape(prompt=PROMPT, running=[Entry(tuple(encode("ab")), content="ab"), Entry(tuple(encode("cd")), "", "cd")])
    assert spliced(good)[0] == (*PROMPT, *encode("ab"), *encode("c!"))
    assert spliced(Tape(prompt=(), running=good.running)) is None
    assert spliced(Tape(prompt=PROMPT)) is None
    assert spliced(Tape(prompt=PROMPT, running=[Entry((), content="abc")])) is None
    assert (
        spliced(Tape(prompt=PROMPT, running=[Entry(tuple(encode("ab")), content="ab"), Entry((7,), "", "cd")])) is None
    )
    assert spliced(Tape(prompt=PROMPT, running=[Entry(tuple(encode("xbc")), content="xbc")])) is None
    assert spliced(Tape(prompt=PROMPT, running=[Entry((5,), "hm"), *good.running])) is None
    other = Resume(kept={"content": "abc!"}, open_channel="content", put_in="?")
    assert splice(good, other, TAGS, encode, decode) is None


def take(collector: Collector, document: Any, raw: bool = True) -> tuple[Any, Any]:
    data = json.dumps(document).encode()
    data_, raw_ = collector.take(read(data), data, b"data: " + data + b"\n\n" if raw else None)
    return json.loads(data_), raw_ and json.loads(raw_.removeprefix(b"data: "))


def test_ids_are_noted_by_choice_and_kept_from_the_client() -> None:
    tapes = {0: Tape(), 1: Tape()}
    collector = Collector(tapes, strip=True)
    first = {"id": "c", "prompt_token_ids": [1, 2], "choices": [{"index": 1, "delta": {"role": "assistant"}}]}
    assert take(collector, first) == ({"id": "c", "choices": first["choices"]},) * 2
    delta = {"choices": [{"index": 0, "delta": {"content": "a"}, "token_ids": [3]}]}
    assert take(collector, delta)[1] == {"choices": [{"index": 0, "delta": {"content": "a"}}]}
    take(collector, {"choices": [{"index": 1, "delta": {"reasoning": "b"}, "token_ids": [4]}]}, raw=False)
    take(collector, {"choices": [{"index": 1, "delta": {}, "token_ids": [5]}, {"index": 7, "token_ids": [6]}]})
    take(collector, {"choices": [{"index": 0, "delta": {}, "token_ids": "odd"}]})
    assert tapes[0] == Tape(prompt=(1, 2), running=[Entry((3,), content="a")])
    assert tapes[1] == Tape(prompt=(1, 2), running=[Entry((4,), "b"), Entry((5,))])


def test_a_client_that_asked_for_ids_gets_them() -> None:
    document = {"choices": [{"index": 0, "text": "a", "token_ids": [3], "prompt_token_ids": [1]}]}
    tape = Tape()
    assert take(Collector({0: tape}, strip=False), document) == (document, document)
    assert (tape.prompt, tape.running) == ((1,), [Entry((3,), content="a")])


@pytest.mark.parametrize("odd", [{"choices": None}, {"choices": [], "usage": {}}])
def test_events_without_choices_are_left_alone(odd: Any) -> None:
    assert take(Collector({0: Tape()}, strip=True), odd)[0] == odd
