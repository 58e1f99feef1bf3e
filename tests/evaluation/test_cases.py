"""A policy's own cases, played through the live path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

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


RECORD = ["Order A-4471-9902 was delivered on 3 May. The customer has asked for a refund of it."]


def problems(tmp_path: Path, case: dict[str, Any]) -> list[str]:
    """What `guard check` says of a policy with this case, without their names."""
    path = tmp_path / "p.yaml"
    checks: list[dict[str, Any]] = [{"check": "phrase", "phrases": [FINE, {"text": "ODD", "score": 0.6}]}]
    watch: dict[str, Any] = {"reasoning": {}, "tool_calls": {}}
    document: dict[str, Any] = {"name": "p", "watch": watch, "interrupt": {"cooldown_segments": 0}}
    document |= {"checks": [*checks, {"check": "tool_arguments"}], "cases": [{"name": "c"} | case]}
    path.write_text(yaml.safe_dump(document))
    return [line.removeprefix("policy 'p', case 'c': ") for line in check_file(str(path), lambda _: None)]


@pytest.mark.parametrize(
    "case",
    [
        {"text": "One. BAD two.", "expect": "interrupt"},
        {"text": "One. BAD two.", "expect": "interrupt", "segment": "BAD two.", "reason": "That is WRONG"},
        {"text": "One. Two. ODD.", "expect": "clean"},
        {
            "channel": "tool_calls",
            "tool": "refund",
            "text": '{"order_id": "A-4417-9902"}',
            "evidence": RECORD,
            "expect": "interrupt",
            "reason": "A-4417-9902",
        },
    ],
)
def test_what_is_expected_holds(tmp_path: Path, case: dict[str, Any]) -> None:
    assert problems(tmp_path, case) == []


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        (
            {"text": "One. BAD two.", "expect": "clean"},
            "interrupted 'BAD two.' (phrase: 'that is wrong.'), not nothing",
        ),
        (
            {"text": "One ODD. Two.", "expect": "interrupt", "segment": "One ODD."},
            "interrupted nothing, not 'One ODD.'; phrase flagged at 0.60 (none)",
        ),
        (
            {"text": "One. Two.", "expect": "interrupt"},
            "interrupted nothing, not a statement; nothing was flagged, phrase not applicable (no phrase)",
        ),
        (
            {"text": "BAD one. Two.", "expect": "interrupt", "segment": "Two."},
            "interrupted 'BAD one.' (phrase: 'that is wrong.'), not 'Two.'",
        ),
        (
            {"text": "BAD one.", "expect": "interrupt", "reason": "late"},
            "interrupted 'BAD one.' (phrase: 'that is wrong.'), whose reason does not say 'late'",
        ),
    ],
)
def test_what_happened_instead_is_said(tmp_path: Path, case: dict[str, Any], problem: str) -> None:
    assert problems(tmp_path, case) == [problem]


@pytest.mark.parametrize(
    "case",
    [
        {"text": "BAD.", "expect": "clean", "interrupted": ["BAD."]},
        {"text": "BAD.", "segment": "BAD."},
        {"text": "BAD.", "expect": "clean", "reason": "x"},
        {"text": "BAD.", "expect": "interrupt", "segment": "GOOD."},
        {"text": "{}", "channel": "tool_calls"},
        {"text": "BAD.", "tool": "refund"},
    ],
)
def test_a_case_that_contradicts_itself_is_no_policy(tmp_path: Path, case: dict[str, Any]) -> None:
    (problem,) = problems(tmp_path, case)
    assert "case 'c': " in problem


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
        ("store: {redaction: {library: presidio, model: not_here}}\n", "store.redaction"),
    ):
        path.write_text(good + more)
        (problem,) = check_file(str(path), said.append)
        assert expected in problem
        assert "\n" not in problem
    path.write_text("models: [{name: m, backend: scripted, answers: [], policy: nope}]\n")
    (problem,) = check_file(str(path), said.append)
    assert "'nope'" in problem
