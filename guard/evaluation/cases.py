"""`guard check`: is a file valid, and does a policy do what its own cases say?

A case is played through the same session, segmenter and checks as live traffic, a character at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from guard import registry
from guard.backends import ChatRequest
from guard.backends.scripted import Answer, ScriptedBackend, ScriptedOptions, Step
from guard.checks import Resources
from guard.core.config import Config
from guard.core.policy import Case
from guard.core.session import Session
from guard.core.types import Evidence, Interruption, Passage
from guard.core.usage import Ledger
from guard.errors import ConfigError
from guard.registry import LoadedPolicy
from guard.relay import Relay
from guard.settings import read_settings


def check_file(name: str, say: Callable[[str], None]) -> Iterator[str]:
    """Check a policy (a name or a file) or a guard.yaml; yields what is wrong, a line each."""
    try:
        if _is_settings(name):
            yield from _check_settings(Path(name), say)
            return
        loaded = registry.load_policy(registry.read_policy(name), Resources())
    except ConfigError as error:
        yield str(error)
        return
    yield from _check_cases(loaded, say)


def _is_settings(name: str) -> bool:
    path = Path(name)
    if name in registry.shipped() or not path.is_file():
        return False
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False  # the policy reader says what is wrong with it
    return isinstance(document, dict) and bool({"models", "store", "server", "facts", "policies"} & set(document))


def _check_settings(path: Path, say: Callable[[str], None]) -> Iterator[str]:
    settings = read_settings(path)
    for entry in settings.models:
        registry.backend(entry.backend, entry.options, f"model {entry.name!r}")
    of_models = [entry.policy for entry in settings.models if entry.policy]
    names = dict.fromkeys([settings.policies.default, *settings.policies.allowed, *of_models])
    for name in names:
        registry.load_policy(registry.read_policy(name), Resources(facts=settings.facts))
    say(f"{path}: ok, {len(settings.models)} models, {len(names)} policies")
    yield from ()


def _check_cases(loaded: LoadedPolicy, say: Callable[[str], None]) -> Iterator[str]:
    policy = loaded.policy
    wrong = 0
    for case in policy.cases:
        claims = [made.claim.text.strip() for made in asyncio.run(play(loaded, case))]
        if claims != list(case.interrupted):
            wrong += 1
            yield f"policy {policy.name!r}, case {case.name!r}: interrupted {claims!r}, not {list(case.interrupted)!r}"
    if not wrong:
        say(f"{policy.name}: ok, {len(policy.checks)} checks, {len(policy.cases)} cases")


async def play(loaded: LoadedPolicy, case: Case) -> list[Interruption]:
    """The interruptions that a case's text leads to; the text goes on behind each of them."""
    steps = (Step.model_validate({case.channel: case.text}), Step(finish="stop"))
    backend = ScriptedBackend(ScriptedOptions(answers=(Answer(cut=1, attempts=(steps,)),)))
    await backend.start()
    made: list[Interruption] = []

    async def emit(out: object) -> None:
        """Nobody is listening."""

    async def record(interruption: Interruption) -> None:
        made.append(interruption)

    config = Config(session="case", choice=0, policy=loaded.policy, checks=loaded.specs, count=backend.count)
    await Relay(
        turn=backend.begin(ChatRequest(body={"messages": [{"role": "user", "content": case.name}]})),
        sessions=[Session(config)],
        policy=loaded.policy,
        checks=loaded.checks,
        evidence=Evidence(passages=tuple(Passage(source="evidence", text=text) for text in case.evidence)),
        emit=emit,
        record=record,
        ledger=Ledger(),
    ).run()
    return made
