"""`guard replay`: what another policy would have done in the sessions on record.

Nothing is asked of the policy model and nothing is written to the log.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from guard import registry
from guard.checks import Resources
from guard.cli.choosing import INSIDE, sessions
from guard.cli.eval_models import Asked, policy_and_models
from guard.cli.reading import opened, print_json, printable
from guard.core.records import Judgement, Review, SessionRecord
from guard.errors import ConfigError
from guard.evaluation.asking import Models
from guard.evaluation.replaying import Replayer
from guard.evaluation.replaying_change import Kind
from guard.evaluation.replaying_totals import KINDS, Told, Totals
from guard.store import Database, Filter
from guard.store.codec import encode
from guard.store.judging import consensus

EXAMPLES = 5
"""Changes of a kind that are shown."""

_CLAIM = 160
"""Characters of a claim in an example."""

_WIDE = 160
"""Columns of a table that no terminal shows."""

_HEADS: dict[Kind, str] = {
    "more": "would be interrupted and was not",
    "less": "was interrupted and would not be",
    "reworded": "would be interrupted otherwise or in other words",
    "observed": "is only observed: flagged then or now, and interrupted neither then nor now",
    "otherwise": "would end otherwise: a limit, too late, a stop",
    "undecided": "cannot be told: a check that decides cannot run here",
}
_REVIEWED = {
    "confirmed_lost": "confirmed interruptions lost",
    "rejected_avoided": "rejected interruptions avoided",
    "confirmed_reworded": "confirmed interruptions reworded",
    "rejected_reworded": "rejected interruptions reworded",
    "missed_caught": "missed statements caught",
    "right_interrupted": "statements judged right that would be interrupted",
    "missed_lost": "missed statements that were flagged, flagged no more",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which sessions, and what is written: JSON instead of tables, and `out`, a JSON line for each change."""

    where: Sequence[str] = ()
    limit: int | None = None
    as_json: bool = False
    out: Path | None = None


def replay(
    policy: str, url: str, wanted: Wanted, asked: Asked, facts: Sequence[Path] = (), recorded: Sequence[str] = ()
) -> None:
    """Replay, and show what would have changed.

    `recorded` names policies that sessions were recorded under. Raises ConfigError where something cannot be read or
    written.
    """
    which = replace(Filter.where(wanted.where), limit=wanted.limit)
    loaded, models = policy_and_models(policy, facts, asked)
    known = [registry.load_policy(registry.read_policy(name), Resources()) for name in recorded]
    store = opened(url)
    try:
        with ExitStack() as stack:
            out = None if wanted.out is None else stack.enter_context(_writing(wanted.out))
            with _few_collections():
                totals, examples = asyncio.run(_run(Replayer(loaded, known), models, store.database, which, out))
    finally:
        asyncio.run(store.close())
    document = totals.document(loaded, examples)
    if wanted.as_json:
        print_json(document)
    else:
        _show(document, examples, wanted)


async def _run(
    replayer: Replayer, models: Models | None, log: Database, which: Filter, out: IO[bytes] | None
) -> tuple[Totals, list[Told]]:
    models = models or Models()
    totals = Totals(_judged(log))
    examples: dict[Kind, list[Told]] = {kind: [] for kind in KINDS}
    await models.start()
    try:
        for session in sessions(log, which):
            key = session.provenance.session
            cuts = [cut for id_ in _ids(session) if (cut := log.interruption(id_)) is not None]
            for told in totals.add(key, await replayer.replay(session, cuts), cuts):
                if len(examples[told.change.kind]) < EXAMPLES:
                    examples[told.change.kind].append(told)
                if out is not None:
                    out.write(encode(told.to_json()).encode() + b"\n")
    finally:
        await models.close()
    return totals, [told for kind in KINDS for told in examples[kind]]


@contextmanager
def _few_collections() -> Iterator[None]:
    """Records are many small objects that soon go together: to look at them over and over is a fifth of the time."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def _ids(session: SessionRecord) -> Iterator[str]:
    for choice in session.choices:
        name = f"{session.provenance.session}.{choice.choice}"
        yield from (f"{name}.{number + 1}" for number in range(choice.interruptions))


def _judged(log: Database) -> Mapping[str, Mapping[str, Review]]:
    """What reviewers say together of statements that were let pass, by session and subject."""
    newest: dict[str, dict[str, Judgement]] = {}
    for each in log.iter_judgements():  # oldest first
        if "#" in each.subject:
            newest.setdefault(each.subject, {})[each.reviewer] = each
    found: dict[str, dict[str, Review]] = {}
    for subject, said in newest.items():
        session = next(iter(said.values())).session
        found.setdefault(session, {})[subject] = consensus([*said.values()])
    return found


def _writing(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise ConfigError(f"--out {str(path)!r} cannot be written: {error.strerror}") from None


# What is printed


def _show(document: Mapping[str, Any], examples: Sequence[Told], wanted: Wanted) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    for line in (*_lines(document), *_none(document, wanted)):
        console.print(Text(line), soft_wrap=True)
    if document["checks"]:
        console.print(_checks(document["checks"]))
    for kind in KINDS:
        shown = [told for told in examples if told.change.kind == kind]
        if shown:
            console.print(Text(f"{_HEADS[kind]}:", style="bold"))
        for told in shown:
            console.print(Text("\n".join(_example(told))), soft_wrap=True)
        if shown and (more := document["changes"][kind] - len(shown)):
            place = "--out FILE writes all" if wanted.out is None else f"all are in {printable(str(wanted.out))}"
            console.print(Text(f"  and {more} more; {place}"), soft_wrap=True)


def _none(document: Mapping[str, Any], wanted: Wanted) -> Iterator[str]:
    """Why there is nothing, where conditions left nothing."""
    if wanted.where and not document["sessions"]:
        yield (
            f"no session on record is like that; {', '.join(INSIDE)} ask for sessions that hold such an interruption, "
            "or such a statement that was flagged and let pass"
        )


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"policy {printable(document['policy'])}: {document['replayed']} of {document['sessions']} sessions replayed"
    for why, times in document["skipped"].items():
        yield f"  not replayed: {times}, {printable(why)}"
    yield f"  {document['same']} the same"
    for kind, times in document["changes"].items():
        if times:
            yield f"  {times} {_HEADS[kind]}"
    if document["behind"]:
        yield f"  {document['behind']} recorded interruptions stand behind a first difference: not known"
    reviewed = document["reviewed"]
    yield "reviewers' word on it:"
    for name, what in _REVIEWED.items():
        of = f" of {reviewed['missed']}" if name.startswith("missed_") else ""
        yield f"  {reviewed[name]}{of} {what}"
    if document["assumed"]:
        yield (
            f"note: {document['assumed']} sessions were recorded under policies that are not known here; answers of "
            "checks of the same version count as given (name those policies with --recorded)"
        )
    for check, reasons in document["missing"].items():
        told = ", ".join(f"{printable(why)} ({times})" for why, times in reasons.items())
        yield f"note: {printable(check)} gave no verdict here: {told}"


def _checks(checks: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table()
    columns = (*KINDS, "flagged", "unflagged", "run")
    table.add_column("check")
    for name in columns:
        table.add_column(name, justify="right")
    for check, counts in checks.items():
        table.add_row(Text(printable(check)), *(str(counts.get(name, 0)) for name in columns))
    return table


def _example(told: Told) -> Iterator[str]:
    change = told.change
    yield f"  {printable(told.subject)}  {printable(change.check) or '-'}  {told.review}"
    claim = " ".join(printable(change.claim).split())
    yield f"    {claim if len(claim) <= _CLAIM else claim[: _CLAIM - 1] + '…'}"
    for sign, words in (("-", change.was), ("+", change.now)):
        if words:
            yield f"    {sign} {' '.join(printable(words).split())}"
