"""`guard replay`: what another policy would have done in recorded sessions, without asking the policy model again.

Knows sessions, policies and checks; reads no store and prints nothing. Rules:

1. A check's recorded answers count again where its version is the same and its parameters are: those on record, or, in
   records that do not have them, those of a policy of the recorded hash (the new one, those that are named, a shipped
   one of its name). Where neither is known, they are taken to be the same, and the session is counted as `assumed`.
2. Thresholds, calibrations, budgets, channels and words are the new policy's.
3. Tokens are estimated; where the recording ran out of them, so does its replay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from guard import registry
from guard.backends import estimate_tokens
from guard.checks import Resources
from guard.core.config import Config
from guard.core.records import VERSION, InterruptionRecord, Provenance, SessionRecord
from guard.core.session import Session
from guard.core.types import Channel, Interruption, Summary
from guard.errors import GuardError, RequestError
from guard.evaluation.replaying_change import Change
from guard.evaluation.replaying_choice import Replay
from guard.evaluation.replaying_recorded import Recorded
from guard.registry import LoadedPolicy
from guard.server.request import understand

NO_EVENTS = "no events (its policy keeps prompts redacted or none)"
OTHER_EVENTS = "events of another version"
NOT_WHOLE = "an interruption of it is not on record"
NO_REQUEST = "its request cannot be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of one session.

    Attributes:
        skipped: why it was not replayed; "" if it was.
        assumed: whether the recorded parameters are not known and were taken to be the new ones.
        live, gained, lost: by check: runs, statements newly flagged, statements flagged no more.
        missing: by check and reason, verdicts that could not be had.
    """

    skipped: str = ""
    changes: tuple[Change, ...] = ()
    assumed: bool = False
    live: Counter[str] = field(default_factory=Counter)
    gained: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)


class Replayer:
    """Replays sessions under one policy.

    Args:
        known: policies that sessions may have been recorded under.
    """

    def __init__(self, loaded: LoadedPolicy, known: Sequence[LoadedPolicy] = ()) -> None:
        self._loaded = loaded
        self._versions = {spec.name: spec.version for spec in loaded.specs}
        self._known: dict[str, Mapping[str, str] | None] = {each.hash: each.params for each in (*known, loaded)}

    async def replay(self, record: SessionRecord, interruptions: Sequence[InterruptionRecord]) -> Replayed:
        """One session; `interruptions` are those of it that are on record."""
        if record.version != VERSION:
            return Replayed(skipped=f"record version {record.version}")
        if not record.events:
            return Replayed(skipped=NO_EVENTS)
        made = [each.interruption for each in interruptions]
        if sum(choice.interruptions for choice in record.choices) != len(made):
            return Replayed(skipped=NOT_WHOLE)
        try:
            unchanged = record.provenance.policy_hash == self._loaded.hash
            choices = [_recorded(record, choice, made, unchanged) for choice in record.choices]
        except (KeyError, TypeError):
            return Replayed(skipped=OTHER_EVENTS)
        try:
            return await self._replay(record, choices)
        except RequestError:
            return Replayed(skipped=NO_REQUEST)

    async def _replay(self, record: SessionRecord, choices: Sequence[Recorded]) -> Replayed:
        given = record.provenance.evidence
        then = self._params(record.provenance)
        replays = [
            Replay(Session(self._config(record.provenance, each)), self._loaded, given, each, self._same(each, then))
            for each in choices
        ]
        changes = tuple([change for replay in replays for change in await replay.changes()])
        return Replayed(
            changes=changes,
            assumed=then is None,
            live=sum((replay.live for replay in replays), Counter()),
            gained=sum((replay.gained for replay in replays), Counter()),
            lost=sum((replay.lost for replay in replays), Counter()),
            missing=sum((replay.missing for replay in replays), Counter()),
        )

    def _config(self, source: Provenance, recorded: Recorded) -> Config:
        prefix, structured, stops = _asked(source, recorded.summary)
        return Config(
            session=source.session,
            choice=recorded.summary.choice,
            policy=self._loaded.policy,
            checks=self._loaded.specs,
            prefix=prefix,
            structured=structured,
            stops=stops,
            count=estimate_tokens,
        )

    def _same(self, recorded: Recorded, then: Mapping[str, str] | None) -> Callable[[str], bool]:
        """Whether what a check answered then is what it would answer now."""
        same = {
            check
            for check, params in self._loaded.params.items()
            if recorded.versions.get(check) in (self._versions[check], None)
            and (then is None or then.get(check) == params)
        }
        return same.__contains__

    def _params(self, source: Provenance) -> Mapping[str, str] | None:
        """The checks of the recorded policy with the digests of their parameters; None where they are not known."""
        if source.checks:
            return source.checks
        if source.policy_hash not in self._known:
            shipped = _shipped(source.policy)
            same = shipped is not None and shipped.hash == source.policy_hash
            self._known[source.policy_hash] = shipped.params if shipped and same else None
        return self._known[source.policy_hash]


def _shipped(name: str) -> LoadedPolicy | None:
    """A policy that comes with guard; None where there is none, or its checks cannot be built here."""
    try:
        return registry.load_policy(registry.read_policy(name), Resources()) if name in registry.shipped() else None
    except GuardError:
        return None


def _recorded(record: SessionRecord, summary: Summary, made: Sequence[Interruption], unchanged: bool) -> Recorded:
    return Recorded(
        summary,
        [event for event in record.events if event["choice"] == summary.choice],
        {each.number: each for each in made if each.choice == summary.choice},
        unchanged,
    )


def _asked(source: Provenance, summary: Summary) -> tuple[Mapping[Channel, str], bool, Sequence[str]]:
    """What of the request a session knows: the turn that the client began, whether text may be put in, stop strings.

    Raises RequestError.
    """
    fields = {name: source.parameters[name] for name in ("stop", "response_format") if name in source.parameters}
    call = understand({"model": "recorded", "messages": source.messages, **fields})
    if source.route == "completions":
        return {}, False, call.stops
    # A client of the Responses API says whether its last message is to be gone on from; the text shows it.
    goes_on = all(summary.text.get(channel, "").startswith(text) for channel, text in call.prefix.items())
    return call.prefix if goes_on else {}, call.structured, call.stops
