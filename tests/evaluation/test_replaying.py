"""Recorded sessions under another policy: a served app records them, the scripted model speaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard import registry
from guard.checks import Resources
from guard.core.records import SessionRecord
from guard.evaluation.replaying import NO_EVENTS, NOT_WHOLE, OTHER_EVENTS, Replayed, Replayer
from guard.evaluation.replaying_change import Change
from guard.registry import LoadedPolicy
from guard.store import Filter
from tests.server.live import BAD, Live, answer, policy_file, serving
from tests.server.live import settings as served

WORDS = (
    *(
        "One two.",
        "BAD three.",
        "Four BAD five.",
        "Six.",
        "12 * 4 = 46.",
        "BAD three.",
        "\n- BAD item\n",
        "So 3 + 4 = 7.",
    ),
    *("Ada Velm was born in Kargate.", "Ada Velm was born in 1815.", "The town lies on a river."),
)
EVIDENCE = "Ada Velm was born in Brengate in 1815. " + "The town lies on the river Oss, in the north of Ostria. " * 4
FOUND = {
    "verdict": "contradicted",
    "score": 9,
    "quote": "Ada Velm was born in Brengate",
    "reason": "she was not born there.",
    "correction": "Ada Velm was born in Brengate.",
}
FINE = FOUND | {"verdict": "supported", "score": 0, "quote": "", "reason": "", "correction": ""}
SUPERVISOR = [
    answer(
        [{"wait_ms": 4}, {"content": json.dumps(FOUND)}, {"finish": "stop"}], when=r"Kargate[^<]*</statement>\nCheck"
    ),
    answer([{"wait_ms": 1}, {"content": json.dumps(FINE)}, {"finish": "stop"}]),
]
POLICIES: dict[str, dict[str, Any]] = {
    "test": {},
    "held": {
        "watch": {
            "reasoning": {"release": "checked", "correct": "retract"},
            "content": {"release": "checked", "correct": "interrupt"},
            "tool_calls": {"release": "checked", "correct": "retract"},
        },
        "interrupt": {"max_per_response": 2, "max_per_check": 2, "cooldown_segments": 1, "at_limit": "caveat"},
    },
    "stops": {"interrupt": {"max_per_response": 1, "at_limit": "stop"}},
    "limits": {"interrupt": {"max_per_response": 1, "at_limit": "release", "cooldown_segments": 2}},
    "two": {
        "checks": [
            {"check": "arithmetic", "interrupt_at": None},
            {"check": "phrase", "phrases": [BAD], "only_if": []},
            {"check": "contradiction"},
        ],
    },
    "judged": {
        "checks": [{"check": "phrase", "phrases": [BAD]}, {"check": "judge", "deadline_ms": 2000}],
        "interrupt": {"cooldown_segments": 0, "max_late_segments": 2},
    },
    "escalates": {
        "checks": [
            {"check": "phrase", "phrases": [BAD | {"score": 0.7}, BAD | {"text": "born", "score": 0.6}]},
            {"check": "judge", "deadline_ms": 3, "only_if": ["phrase"]},
        ],
    },
    "shadow": {
        "mode": "observe",
        "watch": {"reasoning": {"release": "immediate"}, "content": {"release": "immediate"}},
    },
}


def load(name_or_file: str) -> LoadedPolicy:
    return registry.load_policy(registry.read_policy(name_or_file), Resources())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("policies")
    return {name: policy_file(folder, name, **fields) for name, fields in POLICIES.items()}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, files: dict[str, str]) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("recorded")
    policies = {"default": files["test"], "allowed": list(files.values())}
    supervisor = {"backend": "scripted", "answers": SUPERVISOR}
    with serving(served(folder, policies=policies, supervisor=supervisor)) as server:
        yield server


def recorded(live: Live) -> SessionRecord:
    """The session that was recorded last."""
    return live.sessions()[-1]


def replayed(live: Live, record: SessionRecord, policy: LoadedPolicy, *known: LoadedPolicy) -> Replayed:
    made = list(live.gateway.store.iter_interruptions(Filter(session=record.provenance.session)))
    return asyncio.run(Replayer(policy, known).replay(record, made))


def text() -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)


TOOLS = st.lists(st.sampled_from(['{"q": 1}', '{"q": "BAD"}']), max_size=2)
ATTEMPT = st.tuples(text(), text(), TOOLS, st.sampled_from(["stop", "length", "disconnect"]))


def halves(text: str) -> list[str]:
    return [part for part in (text[: len(text) // 2], text[len(text) // 2 :]) if part]


def steps(one: tuple[str, str, Sequence[str], str]) -> list[dict[str, Any]]:
    reasoning, content, calls, end = one
    tools = [{"tool": {"index": i, "id": f"c{i}", "name": "f", "arguments": a}} for i, a in enumerate(calls)]
    said = [{"reasoning": part} for part in halves(reasoning)] + [{"content": part} for part in halves(content)]
    told = [step for part in said for step in (part, {"wait_ms": 2})] + tools
    return [
        *told,
        {"disconnect": True} if end == "disconnect" and told else {"finish": "tool_calls" if calls else "stop"},
    ]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(sorted(POLICIES)),
    attempts=st.lists(ATTEMPT, min_size=1, max_size=3),
    second=st.lists(ATTEMPT, max_size=2),
    cut=st.sampled_from([0, 1, 5]),
    request=st.fixed_dictionaries(
        {},
        optional={
            "max_tokens": st.sampled_from([4, 20, 400]),
            "stop": st.sampled_from(["Six", ["BAD th", "= 7"]]),
            "stream": st.booleans(),
            "response_format": st.just({"type": "json_object"}),
        },
    ),
)
def test_the_policy_that_recorded_a_session_changes_nothing_in_it(
    live: Live, files: dict[str, str], name: str, attempts: Any, second: Any, cut: int, request: dict[str, Any]
) -> None:
    choices = [[steps(said) for said in second]] if second else []
    live.say(answer(*map(steps, attempts), cut=cut, choices=choices))
    before = len(live.sessions())
    live.post(model=f"m@{name}", n=1 + bool(second), guard={"evidence": [EVIDENCE]}, **request)
    if len(live.sessions()) == before:
        return  # a clean one, of which only some are kept
    record = recorded(live)
    found = replayed(live, record, load(files[name]))
    assert found == Replayed(changes=())


def test_a_check_of_a_discarded_call_is_not_asked_again(live: Live, files: dict[str, str]) -> None:
    """It had not answered when another call was interrupted, and answered about no call of the session."""
    live.say(answer(steps(("", "", ['{"q": 1}', '{"q": "BAD"}'], "stop"))))
    live.post(model="m@judged")
    record = recorded(live)
    assert record.choices[0].interruptions == 1
    assert replayed(live, record, load(files["judged"])) == Replayed(changes=())


# What another policy changes

SAID = answer([{"reasoning": "One. BAD two. Three."}, {"content": "Four BAD five. Six."}, {"finish": "stop"}], cut=3)


@pytest.fixture(scope="module")
def twice(live: Live) -> SessionRecord:
    """A session with two interruptions, under `test`."""
    live.say(SAID)
    live.post(model="m@test")
    return recorded(live)


def changed(live: Live, record: SessionRecord, folder: Path, **fields: Any) -> list[Change]:
    """What a policy like `test` with these fields would change."""
    found = replayed(live, record, load(policy_file(folder, "new", **fields)), load(policy_file(folder, "test")))
    assert not found.skipped
    return list(found.changes)


def test_a_claim_that_is_no_longer_interrupted_ends_the_replay(
    live: Live, twice: SessionRecord, tmp_path: Path
) -> None:
    checks = [{"check": "phrase", "phrases": [BAD], "interrupt_at": None}]
    (change,) = changed(live, twice, tmp_path, checks=checks)
    assert (change.kind, change.check, change.claim, change.behind) == ("less", "phrase", " BAD two.", 1)
    assert (change.was, change.now) == ("interrupt: No, that is wrong. It is GOOD.", "")
    assert change.interruption == f"{twice.provenance.session}.0.1"


def test_thresholds_are_the_new_ones_and_answers_the_recorded_ones(
    live: Live, twice: SessionRecord, tmp_path: Path
) -> None:
    assert changed(live, twice, tmp_path, checks=[{"check": "phrase", "phrases": [BAD], "interrupt_at": 1.0}]) == []
    found = replayed(live, twice, load(policy_file(tmp_path, "test")))
    assert not found.live


@pytest.mark.parametrize(
    ("fields", "now"),
    [
        ({"interrupt": {"message": "Wait: {reason}", "cooldown_segments": 0}}, "interrupt: Wait: that is wrong."),
        ({"watch": {"reasoning": {"release": "checked", "correct": "retract"}}}, "retract: It is GOOD."),
    ],
)
def test_other_words_and_another_manner_are_told(
    live: Live, twice: SessionRecord, tmp_path: Path, fields: dict[str, Any], now: str
) -> None:
    (change,) = changed(live, twice, tmp_path, **fields)
    assert (change.kind, change.now, change.behind) == ("reworded", now, 1)


def test_a_new_check_runs_live_and_may_interrupt_sooner(live: Live, twice: SessionRecord, tmp_path: Path) -> None:
    checks = [{"check": "phrase", "phrases": [BAD]}, {"check": "arithmetic"}]
    assert changed(live, twice, tmp_path, checks=checks) == []
    changed_one = [{"check": "phrase", "phrases": [BAD, BAD | {"text": "One"}]}]
    (change,) = changed(live, twice, tmp_path, checks=changed_one)
    assert (change.kind, change.claim, change.segment, change.behind) == ("more", "One.", 0, 2)


def test_a_limit_that_leaves_the_context_as_it_is_does_not_end_the_replay(
    live: Live, twice: SessionRecord, tmp_path: Path
) -> None:
    (change,) = changed(live, twice, tmp_path, interrupt={"cooldown_segments": 0, "max_per_response": 1})
    assert (change.kind, change.claim, change.behind) == ("less", "Four BAD five.", 0)


def test_shadow_tells_what_would_have_been_interrupted(live: Live, files: dict[str, str]) -> None:
    live.say(SAID)
    live.post(model="m@shadow")
    (change,) = replayed(live, recorded(live), load(files["test"]), load(files["shadow"])).changes
    assert (change.kind, change.claim, change.was) == ("more", " BAD two.", "")


def test_a_client_that_leaves_and_another_route_replay_too(live: Live, files: dict[str, str]) -> None:
    live.say(SAID)
    with live.client.stream("POST", "/v1/chat/completions", json={"model": "m", "messages": [], "stream": True}):
        pass
    live.say(answer([{"content": "Four BAD five. Six."}, {"finish": "stop"}], cut=3))
    live.client.post("/v1/completions", json={"model": "m", "prompt": "Go on", "stop": "Six"}).raise_for_status()
    record = recorded(live)
    assert (record.provenance.route, record.flagged) == ("completions", True)
    assert replayed(live, record, load(files["test"])) == Replayed()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"events": ()}, NO_EVENTS),
        ({"version": 2}, "record version 2"),
        ({"events": ({"choice": 0, "event": "unheard"},)}, OTHER_EVENTS),
    ],
)
def test_what_cannot_be_replayed_says_why(
    live: Live, files: dict[str, str], twice: SessionRecord, change: dict[str, Any], why: str
) -> None:
    assert replayed(live, replace(twice, **change), load(files["test"])).skipped == why


def test_a_session_without_its_interruptions_is_not_replayed(
    live: Live, files: dict[str, str], twice: SessionRecord
) -> None:
    found = asyncio.run(Replayer(load(files["test"])).replay(twice, []))
    assert found.skipped == NOT_WHOLE


def test_a_check_that_cannot_run_here_decides_nothing(live: Live, twice: SessionRecord, tmp_path: Path) -> None:
    checks = [{"check": "phrase", "phrases": [BAD]}, {"check": "judge", "deadline_ms": 2000}]
    path = policy_file(tmp_path, "judging", checks=checks)
    found = replayed(live, twice, load(path))
    assert (found.changes, found.assumed) == ((), False) or found.assumed
    assert found.missing["judge", "no supervisor"] > 0
    strict = policy_file(tmp_path, "closed", checks=checks, on_unscanned="stop")
    (change,) = replayed(live, twice, load(strict)).changes
    assert (change.kind, change.now) == ("undecided", "no supervisor")
