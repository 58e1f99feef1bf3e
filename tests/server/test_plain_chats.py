"""Ordinary chats are never interrupted: `plain_chats.yaml` played through the endpoint under the shipped policies.

`grounded` asks that an answer says nothing which its sources do not bear out; what it therefore interrupts stands
beside a chat under that name, and nothing else may be.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.server.live import Heard, Live, answer, serving, settings

CHATS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("plain_chats.yaml").read_text(encoding="utf-8"))
NAMES = [chat["name"] for chat in CHATS]
POLICIES = ("default", "grounded", "reasoning", "retract")
CALL = {"id": "call_0", "type": "function"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("plain")
    with serving(settings(folder, policies={"default": "default", "allowed": list(POLICIES)})) as live:
        yield live


def messages(chat: dict[str, Any]) -> list[dict[str, Any]]:
    """The chat's messages as a client sends them."""
    return [message for asked in chat["asked"] for role, text in asked.items() for message in [_message(role, text)]]


def _message(role: str, text: str) -> dict[str, Any]:
    if role == "call":
        call = {**CALL, "function": {"name": "look_up", "arguments": text}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"role": role, "content": text} | ({"tool_call_id": "call_0"} if role == "tool" else {})


def steps(chat: dict[str, Any], seed: int | None) -> list[dict[str, Any]]:
    """What the model says; cut at random places with a seed."""
    said = [("reasoning", chat.get("reasoning", "")), ("content", chat["answer"])]
    chance = random.Random(seed)
    cut = [(channel, piece) for channel, text in said for piece in (_pieces(text, chance) if seed else [text])]
    return [*({channel: piece} for channel, piece in cut if piece), {"finish": "stop"}]


def _pieces(text: str, chance: random.Random) -> list[str]:
    places = sorted(chance.sample(range(len(text) + 1), min(len(text) // 9, 40)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def played(live: Live, chat: dict[str, Any], policy: str, cut: int, seed: int | None = None) -> Heard:
    live.say(answer(steps(chat, seed), cut=cut))
    guard = {"policy": policy, "evidence": chat.get("evidence", [])}
    return live.stream(messages=messages(chat), guard=guard, stream_options={"include_usage": True})


CUTS = pytest.mark.parametrize(("cut", "seed"), [(0, None), (1, None), (0, 1), (0, 2)], ids=["whole", "1", "a", "b"])


def test_there_are_enough_chats_of_different_names() -> None:
    assert len(set(NAMES)) == len(CHATS) >= 60


@CUTS
@pytest.mark.parametrize("policy", ["default", "grounded"])
def test_an_ordinary_chat_is_neither_interrupted_nor_held_too_long(
    guarded: Live, policy: str, cut: int, seed: int | None
) -> None:
    passes(guarded, policy, cut, seed)


@pytest.mark.parametrize("policy", ["reasoning", "retract"])
def test_nor_is_it_under_the_other_policies(guarded: Live, policy: str) -> None:
    passes(guarded, policy, 1, None)


def passes(guarded: Live, policy: str, cut: int, seed: int | None) -> None:
    for chat in CHATS:
        if chat.get(policy):
            continue
        heard = played(guarded, chat, policy, cut, seed)
        # A hold that ran out would be an event and counted as unscanned.
        assert heard.events == [], (chat["name"], heard.events)
        assert heard.usage is not None
        assert heard.usage["guard"]["unscanned"] == 0, chat["name"]
        assert (heard.text("reasoning"), heard.text()) == (chat.get("reasoning", ""), chat["answer"]), chat["name"]
        assert heard.reason == "stop"


@CUTS
@pytest.mark.parametrize("chat", [chat for chat in CHATS if chat.get("grounded")], ids=lambda chat: chat["name"])
def test_grounded_interrupts_what_its_sources_do_not_say(
    guarded: Live, chat: dict[str, Any], cut: int, seed: int | None
) -> None:
    before = len(guarded.interruptions())
    played(guarded, chat, "grounded", cut, seed)
    made = [record.interruption for record in guarded.interruptions()[before:]]
    assert [one.claim.text.strip() for one in made] == chat["grounded"]
    assert {verdict.check for one in made for verdict in one.verdicts if verdict.findings} == {"grounding"}
