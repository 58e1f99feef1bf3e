"""A policy's own cases, played through the live path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from guard import registry
from guard.checks import Resources
from guard.core.policy import Case, Policy
from guard.evaluation.cases import check_file, play

FINE = {"text": "BAD", "reason": "that is wrong.", "correction": "It is GOOD."}


def loaded(**fields: Any) -> registry.LoadedPolicy:
    base: dict[str, Any] = {
        "name": "p",
        "watch": {"reasoning": {"release": "immediate"}, "content": {"correct": "retract"}},
        "checks": [{"check": "phrase", "phrases": [FINE]}],
        "interrupt": {"cooldown_segments": 0},
    }
    return registry.load_policy(Policy.model_validate(base | fields), Resources())


@pytest.mark.parametrize("channel", ["reasoning", "content"])
async def test_the_text_goes_on_behind_an_interruption(channel: Any) -> None:
    case = Case(name="c", channel=channel, text="One. BAD two. Three. BAD four. Five.")
    made = await play(loaded(), case)
    assert [m.claim.text for m in made] == [" BAD two.", " BAD four."]
    assert {m.claim.channel for m in made} == {channel}


async def test_nothing_wrong_is_nothing_interrupted() -> None:
    assert await play(loaded(), Case(name="c", text="One. Two.")) == []


async def test_a_policy_that_only_observes_interrupts_nothing() -> None:
    watch = {"reasoning": {"release": "immediate"}}
    assert await play(loaded(mode="observe", watch=watch), Case(name="c", text="BAD. One.")) == []


def test_a_case_that_does_not_hold_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "name: p\nwatch: {reasoning: {}}\nchecks: [{check: phrase, phrases: [{text: BAD}]}]\n"
        "cases:\n  - {name: right, text: BAD one., interrupted: [BAD one.]}\n"
        "  - {name: left out, text: BAD two.}\n  - {name: too much, text: Fine., interrupted: [Fine.]}\n"
    )
    said: list[str] = []
    assert list(check_file(str(path), said.append)) == [
        "policy 'p', case 'left out': interrupted ['BAD two.'], not []",
        "policy 'p', case 'too much': interrupted [], not ['Fine.']",
    ]
    assert said == []


def test_a_configuration_is_held_to_its_backends_policies_and_facts(tmp_path: Path) -> None:
    path = tmp_path / "guard.yaml"
    good = "models: [{name: m, backend: scripted, answers: []}]\n"
    path.write_text(good)
    said: list[str] = []
    assert list(check_file(str(path), said.append)) == []
    assert said == [f"{path}: ok, 1 models, 5 policies"]
    for more, expected in (
        ("facts: [nope.jsonl]\n", "nope.jsonl"),
        ("policies: {default: nope}\n", "'nope'"),
        ("policies: {allowed: [nope]}\n", "'nope'"),
        ("server: {port: x}\n", "server.port"),
    ):
        path.write_text(good + more)
        (problem,) = check_file(str(path), said.append)
        assert expected in problem
        assert "\n" not in problem
    path.write_text("models: [{name: m, backend: scripted, answers: [], policy: nope}]\n")
    (problem,) = check_file(str(path), said.append)
    assert "'nope'" in problem
