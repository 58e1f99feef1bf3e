"""Labelled answers of the built-in model: the labels are the world's, and the same seed says the same."""

from __future__ import annotations

import pytest

from guard.world.answers import GROUPS, answers, asked
from guard.world.world import load_world

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


def test_questions_go_round_the_groups_of_one_split() -> None:
    world = load_world()
    people = [question.person for question in asked(world, "test", 8, 0)]
    for number, person in enumerate(people):
        assert person in world.group(GROUPS[number % len(GROUPS)], "test")


async def test_spans_are_the_objects_of_what_the_facts_contradict() -> None:
    torch.set_num_threads(1)
    world = load_world()
    rows = await answers(6, split="test", seed=3)
    for row in rows:
        text = row["response"]
        wrong = [claim for claim in world.claims(text) if not claim.right]
        assert [text[span["start"] : span["end"]] for span in row["spans"]] == [claim.premise.object for claim in wrong]
        for span, claim in zip(row["spans"], wrong, strict=True):
            assert claim.start <= span["start"] < span["end"] <= claim.end
            assert world.facts[claim.premise.relation, claim.premise.subject] != claim.premise.object
    assert any(row["spans"] for row in rows)
    assert rows == await answers(6, split="test", seed=3)
