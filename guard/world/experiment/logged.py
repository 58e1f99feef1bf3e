"""The harvest's log as training rows: measured, reviewed, exported by the exporters that everybody uses.

Knows the store, the exporters and the facts; knows no training. The reviewer is exact: an interruption is confirmed
where the claim is a false premise of the question's own chain, and what the model wrote behind the correction leads
on: true premises of that chain, in order, up to the next interruption or to the right answer; or, where guard only let
it say so, that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord
from guard.exporters import Exporter
from guard.exporters.clean import Clean
from guard.exporters.distillation import Distillation
from guard.exporters.documents import Documents
from guard.exporters.preference import Preference
from guard.exporters.prompt_completion import PromptCompletion
from guard.store import Store
from guard.targets.tokens import IGNORED
from guard.world.corpus import END, USER, prompt
from guard.world.experiment.examining import SAMPLES
from guard.world.experiment.harvest import WORDING
from guard.world.experiment.sampling import Sampling, draw
from guard.world.experiment.speech import IDK, Speaker
from guard.world.learning import Sample
from guard.world.world import UNKNOWN_ANSWER, Premise, World

KNOWS_AT, UNSURE_BELOW = 0.75, 0.6
"""Agreement with the truth from which the model counts as knowing, and with itself below which it is unsure."""


def sampled(speaker: Speaker, contexts: Sequence[str], seed: int) -> list[list[str]]:
    """`SAMPLES` sentences behind each context."""
    stop = frozenset(speaker.encode("Torvik.")[-1:])
    prompts = [speaker.encode(context) for context in contexts for _ in range(SAMPLES)]
    drawn = draw(speaker.model, prompts, Sampling(ends=stop | speaker.ends(), limit=32, seed=seed))
    said = [str(speaker.tokenizer.decode(text.ids)).strip() for text in drawn]
    return [said[start : start + SAMPLES] for start in range(0, len(said), SAMPLES)]


def context_of(record: InterruptionRecord) -> str:
    """What the model had read when it began the claim."""
    return prompt(asked(record)) + str(record.interruption.kept.get("reasoning", ""))


def asked(record: InterruptionRecord) -> str:
    """The question of a record."""
    return str(record.provenance.messages[0]["content"])


async def measured(store: Store, speaker: Speaker, seed: int) -> None:
    """Write into every confirmed interruption whether the model knows the truth (`known`)."""
    records = [record for record in store.iter_interruptions() if record.review == "confirmed"]
    samples = sampled(speaker, [context_of(record) for record in records], seed)
    for record, said in zip(records, samples, strict=True):
        await store.amend(record.interruption.id, known=said.count(record.interruption.correction) / len(said))


async def reviewed(store: Store, world: World) -> int:
    """Confirm or reject every interruption by the facts; returns how many were confirmed."""
    confirmed = 0
    for record in list(store.iter_interruptions()):
        right = _deserved(world, record)
        confirmed += right
        await store.amend(record.interruption.id, review="confirmed" if right else "rejected")
    return confirmed


def _deserved(world: World, record: InterruptionRecord) -> bool:
    cut, closing = record.interruption, record.closing
    question, claim = world.question(asked(record)), world.parse(cut.claim.text.strip())
    if question is None or claim is None or closing is None:
        return False
    chain = world.chain(question.type, question.person)
    place = next((i for i, true in enumerate(chain) if _same_subject(true, claim)), None)
    if place is None or claim == chain[place]:
        return False
    if IDK in cut.put_in:
        return closing.complete and not closing.followed.strip() and closing.answer.strip() == UNKNOWN_ANSWER
    # A turn that was interrupted once more has no answer here; what it says up to there is as good as any.
    rest = " ".join(world.state(true) for true in chain[place + 1 :])
    said = closing.followed.strip()
    whole = said == rest and closing.answer.strip() == f"{question.answer}."
    return whole if closing.complete else rest.startswith(said)


def _same_subject(one: Premise, other: Premise) -> bool:
    return (one.relation, one.subject) == (other.relation, other.subject)


_POLICY = Policy(name="harvest", interrupt=WORDING)
FORMATS: Mapping[str, Exporter] = {
    "prompt_completion": PromptCompletion(_POLICY),
    "preference": Preference(_POLICY),
    "distillation": Distillation(_POLICY),
    "clean": Clean(_POLICY),
    "documents": Documents(_POLICY),
}


def exported(store: Store, tokenizer: Any, folder: Path) -> dict[str, int]:
    """Write every format as JSON lines into the folder; returns how many rows each has."""
    records = [record for record in store.iter_interruptions() if record.review == "confirmed"]
    counts = {}
    for name, exporter in FORMATS.items():
        rows = list(exporter.rows(exporter.select(records), tokenizer=tokenizer))
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        counts[name] = len(rows)
    return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """An exported row to train on: `knows`, whether the model knew the truth; `asked`: the row's question."""

    id: str
    knows: bool
    asked: str
    sample: Sample


def lessons(folder: Path, format_: str) -> list[Lesson]:
    """The token rows of a format: context has weight 0."""
    return [
        Lesson(
            id=row["id"],
            knows=row["known"] is None or row["known"] >= KNOWS_AT,
            asked=_question(row),
            sample=_sample(row),
        )
        for row in _rows(folder, format_)
    ]


def pairs(folder: Path) -> list[tuple[str, str, str]]:
    """(prompt, chosen, rejected) of the preference rows."""
    return [(row["prompt"], row["chosen"], row["rejected"]) for row in _rows(folder, "preference")]


def unmasked(lesson: Lesson, claim: Sequence[int]) -> Lesson:
    """The control: the same row with the bad premise learnt. Raises ValueError where it does not end the context."""
    ids, weights = lesson.sample.ids, list(lesson.sample.weights)
    end = weights.index(1.0)
    if list(ids[end - len(claim) : end]) != list(claim):
        raise ValueError(f"row {lesson.id!r} does not end its context in the claim")
    weights[end - len(claim) : end] = [1.0] * len(claim)
    return replace(lesson, sample=replace(lesson.sample, weights=weights))


def _sample(row: Mapping[str, Any]) -> Sample:
    tops: Iterable[tuple[list[int], list[float]]] = zip(
        row.get("top_ids", ()), row.get("top_logprobs", ()), strict=True
    )
    return Sample(
        ids=row["input_ids"],
        weights=[float(label != IGNORED) for label in row["labels"]],
        # A one-hot teacher is the token itself.
        top={at: tuple(zip(ids, logs, strict=True)) for at, (ids, logs) in enumerate(tops) if len(ids) > 1},
    )


def _question(row: Mapping[str, Any]) -> str:
    """What stands in the prompt's user turn; "" for a row without a prompt."""
    return str(row.get("prompt", "")).partition(USER)[2].partition(END)[0]


def _rows(folder: Path, format_: str) -> list[dict[str, Any]]:
    lines = (folder / f"{format_}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
