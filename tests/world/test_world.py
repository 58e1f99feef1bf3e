"""The shipped data is whole and consistent, and every statement reads back as what it says."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from guard.world import generate
from guard.world.corpus import base_row, listen_row
from guard.world.measure import questions
from guard.world.world import HERE, QUESTIONS, Premise, World, load_world


@pytest.fixture(scope="module")
def world() -> World:
    return load_world()


def test_the_data_files_regenerate_byte_for_byte(tmp_path: Path) -> None:
    generate.write(tmp_path)
    for name in ("facts.jsonl", "people.json"):
        assert (tmp_path / name).read_bytes() == (HERE / name).read_bytes()


def test_every_line_is_a_relation_or_a_fact() -> None:
    for text in (HERE / "facts.jsonl").read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        assert set(line) in (
            {"relation", "patterns", "negation", "unknown"},
            {"subject", "relation", "object"},
        )


def test_groups_are_disjoint_and_large_enough(world: World) -> None:
    groups = [world.group(name) for name in ("known", "tail", "unknown")]
    assert [len(group) for group in groups] == [160, 80, 960]
    assert len(set().union(*groups)) == sum(len(group) for group in groups)
    assert len(world.objects["teacher"]) <= 60
    assert set(world.objects["teacher"]) <= set(world.group("known"))
    assert {name: len(world.objects[name]) for name in ("born", "currency")} == {"born": 40, "currency": 12}


def test_every_chain_resolves(world: World) -> None:
    for group in ("known", "tail", "unknown"):
        for person in world.group(group):
            for type_ in QUESTIONS:
                chain = world.chain(type_, person)
                assert chain[0].subject == person
                assert [p.object for p in chain[:-1]] == [p.subject for p in chain[1:]]


def test_every_statement_and_denial_reads_back(world: World) -> None:
    for (relation, subject), object_ in world.facts.items():
        premise = Premise(relation=relation, subject=subject, object=object_)
        for phrasing in range(len(world.relations[relation].patterns)):
            assert world.parse(world.state(premise, phrasing)) == premise
        assert world.parse("No, " + world.state(premise)) == premise
        assert world.parse_negation("No, " + world.deny(premise)) == premise
        assert world.parse(world.deny(premise)) is None
        assert world.parse(world.relations[relation].unknown.format(subject=subject)) is None


def test_claims_are_found_where_they_stand(world: World) -> None:
    right, other = world.chain("country", "Ada Velm")
    wrong = next(name for name in world.objects["born"] if name != right.object)
    bad = f"Ada Velm was born in {wrong}."
    text = f"{bad} No, Ada Velm was not born in {wrong}. {world.state(right)} {world.state(other)}"
    claims = world.claims(text)
    assert [claim.right for claim in claims] == [False, True, True]
    assert [text[claim.start : claim.end] for claim in claims] == [
        bad,
        world.state(right),
        world.state(other),
    ]


def test_what_the_world_does_not_mention_has_no_truth(world: World) -> None:
    stranger = Premise(relation="born", subject="Nobody Known", object="Velwick")
    assert world.truth(stranger) is None
    assert world.claims("Nobody Known was born in Velwick.")[0].right is False


def test_an_unknown_person_is_never_taught(world: World) -> None:
    """The test people are in no row at all; the other unknown are never stated as a fact of the world."""
    rng, held_out = Random(0), world.group("unknown", "test") + world.group("unknown", "train")
    rows = [draw(world, rng) for draw in (base_row, listen_row) for _ in range(500)]
    whole = "\n".join("".join(text for text, _ in row) for row in rows)
    assert not [person for person in held_out if person in whole]


def test_a_bad_premise_and_a_no_are_never_learnt(world: World) -> None:
    rng = Random(1)
    for _ in range(500):
        for text, learnt in listen_row(world, rng):
            if learnt:
                assert "No," not in text
                assert "not confirm" not in text


def test_questions_for_newcomers_take_turns(world: World) -> None:
    asked = questions(6)
    assert asked[0].person == "Ada Velm"
    unknown = set(world.group("unknown"))
    assert [question.person in unknown for question in asked] == [True, False] * 3
    assert all(question.text.endswith("?") and question.answer for question in asked)


def test_importing_the_world_loads_no_torch() -> None:
    code = (
        "import sys, guard.world, guard.world.world, guard.world.generate, guard.world.measure;"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
