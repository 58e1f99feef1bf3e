"""`guard check`: is a file valid, and does a policy do what its own cases say?

A case is played through the same session, segmenter and checks as live traffic, a character at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from guard import registry
from guard.backends import ChatRequest
from guard.backends.scripted import Answer, ScriptedBackend, ScriptedOptions, Step, Tool
from guard.checks import Resources
from guard.core.config import Config
from guard.core.events import Finish
from guard.core.policy import Case
from guard.core.session import Session
from guard.core.types import Evidence, Interruption, Passage, Verdict
from guard.core.usage import Ledger
from guard.errors import ConfigError
from guard.registry import LoadedPolicy
from guard.relay import Out, Relay
from guard.settings import read_settings
from guard.store.people import redactors


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
    redactors(settings.store)
    say(f"{path}: ok, {len(settings.models)} models, {len(names)} policies")
    yield from ()


def _check_cases(loaded: LoadedPolicy, say: Callable[[str], None]) -> Iterator[str]:
    policy = loaded.policy
    wrong = 0
    for case in policy.cases:
        made, verdicts = asyncio.run(_played(loaded, case))
        if problem := _problem(case, made):
            wrong += 1
            happened = f"; {_happened(verdicts)}" if case.expect is not None and not made else ""
            yield f"policy {policy.name!r}, case {case.name!r}: {problem}{happened}"
    if not wrong:
        say(f"{policy.name}: ok, {len(policy.checks)} checks, {len(policy.cases)} cases")


def _problem(case: Case, made: Sequence[Interruption]) -> str:
    """What is otherwise than the case says, or ""."""
    claims = [each.claim.text.strip() for each in made]
    if case.expect is None:
        return f"interrupted {claims!r}, not {list(case.interrupted)!r}" if claims != list(case.interrupted) else ""
    told = ", ".join(f"{claim!r} ({each.check}: {each.reason!r})" for claim, each in zip(claims, made, strict=True))
    if case.expect == "clean":
        return f"interrupted {told}, not nothing" if made else ""
    wanted = "a statement" if case.segment is None else repr(case.segment)
    if len(made) != 1 or (case.segment is not None and claims != [case.segment.strip()]):
        return f"interrupted {told or 'nothing'}, not {wanted}"
    missing = case.reason is not None and case.reason.casefold() not in made[0].reason.casefold()
    return f"interrupted {told}, whose reason does not say {case.reason!r}" if missing else ""


def _happened(verdicts: Sequence[Verdict]) -> str:
    """What the checks said instead of what was expected of them."""
    flagged = [
        f"{v.check} flagged at {max((f.score for f in v.findings), default=0.0):.2f} ({v.disposition})"
        for v in verdicts
        if v.status == "flagged"
    ]
    if flagged:
        return ", ".join(flagged)
    silent = dict.fromkeys(f"{v.check} {v.status.replace('_', ' ')} ({v.why})" for v in verdicts if v.why)
    return ", ".join(("nothing was flagged", *silent))


async def play(loaded: LoadedPolicy, case: Case) -> list[Interruption]:
    """The interruptions that a case's text leads to; the text goes on behind each of them."""
    return (await _played(loaded, case))[0]


async def _played(loaded: LoadedPolicy, case: Case) -> tuple[list[Interruption], Sequence[Verdict]]:
    """The interruptions, and every check's last word on what stands at the end."""
    step = {"tool": Tool(name=case.tool, arguments=case.text)} if case.tool else {case.channel: case.text}
    steps = (Step.model_validate(step), Step(finish="tool_calls" if case.tool else "stop"))
    backend = ScriptedBackend(ScriptedOptions(answers=(Answer(cut=1, attempts=(steps,)),)))
    await backend.start()
    made: list[Interruption] = []
    verdicts: list[Verdict] = []

    async def emit(out: Sequence[Out]) -> None:
        for _, item in out:
            if isinstance(item, Finish) and item.summary is not None:
                verdicts.extend(item.summary.verdicts)

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
    return made, verdicts
