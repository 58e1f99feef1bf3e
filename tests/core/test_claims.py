"""What states something about the world and what does not: by the text, what stands before it, and the request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.claims import asks_for_invention, in_code, is_claim, is_code, is_hedged, is_tale
from guard.core.types import Evidence, Passage

STATED = "The bridge was opened in 1932."


def asked(*texts: str, system: str = "") -> Evidence:
    passages = [Passage(source="system", text=system)] if system else []
    passages += [Passage(source="user", text=text) for text in texts]
    return Evidence(passages=tuple(passages), question=texts[-1] if texts else "")


@pytest.mark.parametrize(
    "text",
    [
        STATED,
        "* 1 egg",
        "\n3. Preheat the oven to 400 degrees.",
        "He may not run again.",
        "It could be seen from the harbour.",
        "If the fare is paid, lorries may cross.",
        "It is likely that the tower leans.",
        "Run `make` in the folder to build it.",
        "Return the goods within 30 days; then the money is paid back.",
        "Class 5 storms are rare.",
        "Let go of the rope before you jump.",
        "Many believe that the bridge is older.",
        "It was made up of four parts.",
        "The plan costs $ 300 a month.",
        "Sure, and the oldest of the four lanes was then opened for lorries in the spring of 1932.",
    ],
)
def test_what_states_something_is_a_claim(text: str) -> None:
    assert is_claim(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.",
        "What would you like to know?",
        "Sure!",
        "You're welcome, enjoy your walk!",
        "Let me know if you need more.",
        "## History",
        "**Opening hours**",
        "| a | b |",
        "Here are the steps:",
        "(Passage 2)",
        "Here is what the passages say about the bridge and its long and troubled history in the town of Arlen.",
        "Okay, so I need to figure out which of the two ferries the visitor could have taken.",
        "Wait, let me check the second passage again.",
        "I think it was opened in 1932.",
        "Maybe the bridge is older than the town.",
        "It was probably opened in 1932.",
        "Suppose the bridge was opened in 1932.",
        "So assume that the train leaves at noon.",
        "If we assume a speed of 80, it takes an hour.",
        "I'm not sure that the year is right.",
        "```python",
        "$ pip install premise-guard",
        "git commit -m 'first'",
        "--- a/loop.c",
        "@@ -1,3 +1,3 @@",
        "def reverse(text: str) -> str:",
        "const total = items.reduce((a, b) => a + b, 0);",
        "import numpy as np",
        "SELECT name FROM bridges WHERE opened = 1932",
        '{"sentiment": "positive"}',
        "`du -ah /var`",
        "#include <stdio.h>",
    ],
)
def test_what_states_nothing_is_none(text: str) -> None:
    assert not is_claim(text)


def test_a_line_within_a_block_of_code_is_told_by_what_stands_before_it() -> None:
    assert not is_code("    page = reply.json()")
    assert in_code(["Here it is:", "\n```python\nimport time", "\nfor one in all:"])
    assert not in_code(["Here it is:", "\n```python\nimport time\n```", "\nIt works."])
    assert in_code(["~~~\na"])
    assert not in_code(["It costs ``` nothing"])  # no fence: it does not begin its line
    assert not in_code([])


@pytest.mark.parametrize(
    "request_",
    [
        asked("Write a short story about a lighthouse keeper."),
        asked("tell me a joke about dentists"),
        asked("A haiku about autumn, please."),
        asked("Can you give me ideas for a party?"),
        asked("Pretend you are a pirate captain and greet me."),
        asked("Invent a company."),
        asked("Describe an imaginary city."),
        asked("Tell me a story about a dragon.", "Go on."),
        asked("Tell me a story about a dragon.", "Great, make it longer", "Another one!"),
        asked("I open the door.", system="You are the game master of a text adventure."),
        asked("Write the next chapter.", system="You help a novelist."),
    ],
)
def test_a_request_to_make_something_up_is_one(request_: Evidence) -> None:
    assert asks_for_invention(request_)


@pytest.mark.parametrize(
    "request_",
    [
        asked(),
        asked("When was the bridge opened?"),
        asked("Summarize the following news story: ..."),
        asked("Explain the poem of the day."),
        asked("how to improve eye health"),
        asked("what type of cells mostly made up our skin"),
        asked("Tell me the story of the bridge according to the passages."),
        asked("Write a poem.", "Thanks. When was the bridge opened?"),
        asked("When was it opened?", system="Passage 1: The poet and novelist Ada Velm improved her verse in Arlen."),
        asked("tips how to conserve water"),
        asked("When was he born?", system="You answer questions about the poet Ada Velm."),
    ],
)
def test_a_request_for_facts_is_none(request_: Evidence) -> None:
    assert not asks_for_invention(request_)


def test_a_tale_is_told_by_its_opening() -> None:
    assert is_tale("Once upon a time, a keeper lit the lamp.")
    assert not is_tale("The lamp was once lit by a keeper.")


@given(st.text(alphabet="ab `~\n?:$@#{};'I think", max_size=200), st.lists(st.text("`~a \n", max_size=20), max_size=6))
def test_any_text_has_an_answer_and_space_around_it_none(text: str, before: list[str]) -> None:
    assert is_claim(text) in (True, False)
    assert is_hedged(text) in (True, False)
    # A fence in one piece or in two neighbours of whole lines is the same fence.
    assert in_code([f"{one}\n" for one in before]) == in_code(["".join(f"{one}\n" for one in before)])


@given(st.sampled_from(["\n", " ", "\n\n", "  "]), st.sampled_from([STATED, "What is it?", "Maybe it is.", "Sure!"]))
def test_white_space_before_a_segment_changes_nothing(space: str, text: str) -> None:
    assert is_claim(space + text) is is_claim(text)


def test_only_what_the_request_says_counts() -> None:
    passages: tuple[Any, ...] = (Passage(source="tool", text="You are a storyteller."),)
    assert not asks_for_invention(Evidence(passages=passages, question=""))


@pytest.mark.parametrize("line", ["print(x);", "total = a + b;", "i++;"])
def test_a_line_that_ends_as_a_statement_of_a_program_is_code(line: str) -> None:
    assert is_code(line)
    assert not is_code("It was late; nobody came;")


def test_a_long_line_is_not_searched_for_code() -> None:
    assert is_code("let answer = 42;")
    for text in ("let " + "a" * 200_000, "def " + "x(" * 100_000, "public a" + " (b" * 70_000):
        assert not is_code(text)
