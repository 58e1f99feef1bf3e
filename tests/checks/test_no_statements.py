"""What is no statement (`guard.core.claims`) through the checks that ask: code, inventions, what was asked earlier."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from guard import registry
from guard.checks import Context, NotApplicable, Resources, Result
from guard.core.segmenter import Segmenter
from guard.core.types import Evidence, Passage, Segment
from guard.server.request import evidence

BRIDGE = (
    "The Arlen Bridge was opened in 1932 by Mayor Dora Finch. It is 412 metres long and carries four lanes of traffic. "
    "Repairs took 15 months and did not close the footpath. A toll of 2 pounds is paid by lorries alone."
)
NAME = "The Arlen Bridge was opened in 1932 by Mayor Nora Finch."
RECORD = '{"name": "Blue Door", "WiFi": "no", "parking": "street", "city": "Santa Barbara"}'
FIELD = "The Blue Door offers free WiFi."
FACTS = (
    {"relation": "birth_place", "patterns": ["{subject} was born in {object}"], "functional": True},
    {"subject": "Ada Velm", "relation": "birth_place", "object": "Kargate"},
)
BORN = "Ada Velm was born in Brengate."
FACTUAL = "What do you know of it?"
MADE_UP = "Write a short story about it."


def check(name: str, tmp_path: Path, **params: Any) -> Any:
    path = tmp_path / "facts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in FACTS), encoding="utf-8")
    cls = registry.plugin("checks", name)
    return cls(cls.Params(**params), Resources(facts=(path,)))


def examined(of: Any, text: str, given: Evidence) -> list[Result]:
    segmenter = Segmenter()
    ends = segmenter.feed(text)
    ends += [] if (last := segmenter.flush()) is None else [last]
    memo: dict[str, Any] = {}
    found: list[Segment] = []
    results = []
    for at, (start, end) in enumerate(pairwise([0, *ends])):
        segment = Segment(id=at, channel="content", start=start, end=end, text=text[start:end], attempt=0)
        context = Context(evidence=given, memo=memo, standing=partial(tuple, tuple(found)))
        results.append(of.examine(segment, context))
        found.append(segment)
    return results


def is_flagged(results: list[Result]) -> bool:
    return any(isinstance(result, tuple) and result for result in results)


CHECKS = [("grounding", BRIDGE, NAME), ("fields", RECORD, FIELD), ("knowledge", BRIDGE, BORN)]


@pytest.mark.parametrize(("name", "material", "wrong"), CHECKS, ids=[name for name, _, _ in CHECKS])
def test_the_same_words_are_wrong_as_a_statement_and_not_as_an_invention(
    tmp_path: Path, name: str, material: str, wrong: str
) -> None:
    of = check(name, tmp_path)
    given = [Passage(source="evidence", text=material)]
    for asked, expected in ((FACTUAL, True), (MADE_UP, False)):
        request = Evidence(passages=(*given, Passage(source="user", text=asked)), question=asked)
        assert is_flagged(examined(of, wrong, request)) is expected


@pytest.mark.parametrize(("name", "material", "wrong"), CHECKS[:2], ids=[name for name, _, _ in CHECKS[:2]])
def test_nor_are_they_within_a_block_of_code(tmp_path: Path, name: str, material: str, wrong: str) -> None:
    of = check(name, tmp_path)
    request = Evidence(passages=(Passage(source="evidence", text=material),), question="")
    long = "\n".join(f"line_{n} = read_the_next_line_of(the_file, {n})" for n in range(12))
    assert is_flagged(examined(of, f"It is so.\n\n```python\n{long}\n```\n{wrong}", request))
    # Longer than a segment: the statement stands in a piece of the block that does not show its fence.
    assert not is_flagged(examined(of, f"It is so.\n\n```python\n{long}\n{wrong}\n{long}\n```", request))


def asked(*messages: tuple[str, str]) -> Evidence:
    return evidence([{"role": role, "content": text} for role, text in messages])


def test_what_tools_returned_for_an_earlier_question_is_no_material_for_another(tmp_path: Path) -> None:
    of = check("grounding", tmp_path)
    earlier = (("user", "Look up the bridge."), ("tool", BRIDGE), ("assistant", "Done."))
    other = asked(*earlier, ("user", "Who painted Guernica?"))
    same = asked(*earlier, ("user", "Who opened the bridge?"))
    more = asked(*earlier, ("user", "And then?"))
    assert examined(of, NAME, other) == [NotApplicable("no material to answer from")]
    assert is_flagged(examined(of, NAME, same))
    assert is_flagged(examined(of, NAME, more))


def test_without_by_tools_only_tool_results_are_no_material(tmp_path: Path) -> None:
    of = check("grounding", tmp_path, by_tools=False)
    fresh = asked(("user", "Who opened the bridge?"), ("tool", BRIDGE))
    beside = asked(("system", f"Answer from this text: {BRIDGE}"), ("user", "Who opened the bridge?"), ("tool", BRIDGE))
    assert examined(of, NAME, fresh) == [NotApplicable("no material to answer from")]
    assert is_flagged(examined(check("grounding", tmp_path), NAME, fresh))
    assert is_flagged(examined(of, NAME, beside))


def test_instructions_that_only_sound_like_material_are_none(tmp_path: Path) -> None:
    of = check("grounding", tmp_path)
    rules = "You keep replies short. Based on the user's mood you choose a tone. You never give legal advice. "
    request = asked(("system", rules * 3), ("user", "How tall is Kilimanjaro?"))
    assert examined(of, NAME, request) == [NotApplicable("no material to answer from")]


def test_a_tale_that_was_not_asked_for_is_still_one(tmp_path: Path) -> None:
    of = check("grounding", tmp_path)
    request = Evidence(passages=(Passage(source="evidence", text=BRIDGE),), question="")
    assert not is_flagged(examined(of, f"Once upon a time there was a bridge. {NAME}", request))
    assert is_flagged(examined(of, f"There was a bridge. {NAME}", request))
