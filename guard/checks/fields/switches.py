"""What a sentence says there is or is not, against the record's switches, for `guard.checks.fields`.

Rules: a thing must be named, as the record names it or by a word that means the same, and where the record groups it,
the group too; several records (and the prose beside them) may each bear a statement out. Where the record holds null,
a statement either way is one that nothing bears out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from guard.checks.fields.index import Index, Switch
from guard.checks.fields.naming import names_of
from guard.checks.fields.statement import Claimed, Mention, Statement
from guard.checks.fields.wrong import Kind, Wrong

_PROPER = re.compile(r"(?<=[a-z,] )[A-Z][a-z]")
_A_LOT = re.compile(r"lots?\s+(?:of|more)\b", re.IGNORECASE)
_ASIDE = re.compile(
    r"\s+(?:dates?|staff|price|prices|experience|food|service|burger|pizza|st\.?|street\b|ave|road)\b", re.IGNORECASE
)
_ALWAYS = frozenset(names_of("ambience"))
"""What everything has: that there is one says nothing."""
MOST = 40
"""Things of one sentence that are looked at."""
REPORTED, BORNE_OUT = 0.25, 0.25


def judged_switches(said: Statement, mentions: Sequence[Mention], index: Index) -> Iterator[Wrong | None]:
    """Every statement about a switch that no record bears out, and None for one that a record does."""
    named = {mention.name for mention in mentions}
    taken: list[Mention] = []
    for mention in mentions:
        if len(taken) > MOST:
            return
        found = [s for s in index.switches.get(mention.name, ()) if not s.group or not s.group.isdisjoint(named)]
        found = [s for s in index.about(found, named) if not _is_vague(s, mention, named, index)]
        if not found or any(t.start <= mention.start < t.end for t in taken) or _is_other(said.text, mention, found):
            continue
        taken.append(mention)
        claimed = said.claimed(mention.start, mention.end, bool(found[0].group))
        if claimed and any(switch.state is (claimed == "yes") for switch in found):
            yield None
        elif claimed and (wrong := _wrong(said, mention, found, claimed, index)):
            yield wrong


def _is_vague(switch: Switch, mention: Mention, named: set[str], index: Index) -> bool:
    """Whether the words leave open which of a group's members they are about, or say nothing."""
    if mention.name in _ALWAYS and not switch.group:
        return True
    return switch.is_group and any(mention.name in s.group for n in named for s in index.switches.get(n, ()))


def _is_other(text: str, mention: Mention, found: Sequence[Switch]) -> bool:
    """Whether the words stand for something else: a street's name, "a lot"."""
    if _A_LOT.match(text, mention.start):
        return True
    is_name = _PROPER.match(text, mention.start) is not None and found[0].label.split()[-1].islower()
    return is_name or (bool(found[0].group) and _ASIDE.match(text, mention.end) is not None)


def _wrong(said: Statement, mention: Mention, found: Sequence[Switch], claimed: Claimed, index: Index) -> Wrong | None:
    if claimed == "no" and all(switch.state is None and not switch.is_choice for switch in found):
        return None
    switch = next((s for s in found if s.state is not None), found[0])
    kind = _kind(switch, claimed)
    doubt = REPORTED if said.is_reported(mention.start) else 0.0
    if mention.name in index.words and claimed == "yes":
        if switch.state is None:
            return None
        doubt += BORNE_OUT
    start, end = mention.start, mention.end
    return Wrong(kind, start, end, switch.field, switch.label, said.text[start:end], switch.told, doubt)


def _kind(switch: Switch, claimed: Claimed) -> Kind:
    if switch.state is None:
        return "unknown"
    return "denied" if claimed == "no" else "affirmed"
