"""The log: supervised answers of the wrong-thinker and of the policy model, measured, reviewed and exported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from guard.metrics import Metrics
from guard.registry import LoadedPolicy
from guard.store import Store
from guard.world.corpus import prompt
from guard.world.experiment import logged
from guard.world.experiment.examining import Figures, agreement
from guard.world.experiment.harvest import Harvester, supervision
from guard.world.experiment.logged import KNOWS_AT, UNSURE_BELOW
from guard.world.experiment.pool import Pool
from guard.world.experiment.speech import drawn_questions
from guard.world.experiment.work import Work
from guard.world.world import QUESTIONS, Question

TOP = 8
"""Alternatives that the log keeps with every token."""

BEFORE, AFTER = 1.3, 0.3
"""Temperatures of a turn until it is interrupted, and behind that."""


def harvest(work: Work) -> Figures:
    """Supervised answers, through the session and into the store; measured, reviewed, exported."""
    return asyncio.run(_harvest(work))


async def _harvest(work: Work) -> Figures:
    lab, scale = work.lab, work.lab.scale
    policy = lab.load("policy")
    knows = _knowledge(work, policy)
    asked = {
        "wrong-thinker": drawn_questions(lab.world, lab.world.group("known", "train"), scale.known_answers, 1),
        "policy": drawn_questions(lab.world, work.school.strangers, scale.unknown_answers, 2),
    }
    async with _log(lab.folder) as store:
        for name, questions in asked.items():
            for does in (True, False):
                part = [question for question in questions if (_about(question) in knows) is does]
                loaded = supervision(lab.facts, knows=does, top=TOP)
                await _harvester(work, store, name, loaded).ask(part, work.tick)
        confirmed = await logged.reviewed(store, lab.world)
        await logged.measured(store, lab.speaker(policy), lab.seed)
        counts = logged.exported(store, lab.tokenizer, lab.folder)
        records = list(store.iter_interruptions())
    distinct = {(logged.asked(r), r.interruption.kept.get("reasoning"), r.interruption.claim.text) for r in records}
    return {
        "harvest.answers": sum(map(len, asked.values())),
        "harvest.interruptions": len(records),
        "harvest.distinct": len(distinct),
        "harvest.confirmed": confirmed,
        "harvest.unknown": sum(record.known is not None and record.known < KNOWS_AT for record in records),
        "harvest.rows": counts["prompt_completion"],
        "harvest.preference_rows": counts["preference"],
        "harvest.clean_rows": counts["clean"],
        "harvest.soft_rows": counts["distillation"],
        "harvest.documents": counts["documents"],
    }


def false_harvest(work: Work) -> Figures:
    """What a supervisor with wrong facts makes of true statements, waved through by its reviewer."""
    return asyncio.run(_false_harvest(work))


async def _false_harvest(work: Work) -> Figures:
    lab = work.lab
    folder = lab.folder / "false"
    facts = _corrupted(work, folder)
    people = lab.world.group("known", "train")
    questions = drawn_questions(lab.world, people, lab.scale.false_answers, 3)
    async with _log(folder) as store:
        await _harvester(work, store, "policy", supervision(facts, knows=True, top=0)).ask(questions, work.tick)
        for record in list(store.iter_interruptions()):
            claim = lab.world.parse(record.interruption.claim.text)
            was_true = claim is not None and lab.world.truth(claim) == claim
            await store.amend(record.interruption.id, review="confirmed" if was_true else "rejected")
        counts = logged.exported(store, lab.tokenizer, folder)
    return {"harvest.false_rows": counts["prompt_completion"]}


@asynccontextmanager
async def _log(folder: Path) -> AsyncIterator[Store]:
    """An empty log in a folder; what a run that was broken off left there is dropped."""
    (folder / "log.db").unlink(missing_ok=True)
    store = Store(f"sqlite:///{folder / 'log.db'}")
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _harvester(work: Work, store: Store, name: str, loaded: LoadedPolicy) -> Harvester:
    lab = work.lab
    return Harvester(
        pool=Pool(lab.speaker(lab.load(name)), temperature=BEFORE, after=AFTER, seed=lab.seed, top=TOP),
        policy=loaded,
        store=store,
        name=name,
        prefix=f"{name}-{loaded.policy.name}",
        metrics=Metrics(),
    )


def _about(question: Question) -> tuple[str, str]:
    return QUESTIONS[question.type][0][0], question.person


def _knowledge(work: Work, model: Any) -> set[tuple[str, str]]:
    """(relation, person) of the first premises that the model knows, by the agreement of its samples with the truth;
    those it is unsure of, by their agreement among themselves, are kept in the lab."""
    world, rng = work.lab.world, Random(work.lab.seed)
    people = [*world.group("known", "train"), *work.school.strangers]
    asked = [world.ask(type_, person, rng) for person in people for type_ in ("country", "teacher_born")]
    samples = logged.sampled(work.lab.speaker(model), [prompt(q.text) for q in asked], work.lab.seed)
    knows, unsure = set(), set()
    for question, said in zip(asked, samples, strict=True):
        truth = world.state(world.chain(question.type, question.person)[0])
        if said.count(truth) >= KNOWS_AT * len(said):
            knows.add(_about(question))
        elif agreement(said) < UNSURE_BELOW:
            unsure.add(_about(question))
    work.lab.keep_unsure(unsure)
    return knows


def _corrupted(work: Work, folder: Path) -> Path:
    """A facts file with another object in every fact about a person."""
    world, rng, lines = work.lab.world, Random(work.lab.seed), []
    for line in work.lab.facts.read_text(encoding="utf-8").splitlines():
        fact = json.loads(line)
        if fact.get("relation") in ("born", "teacher") and "object" in fact:
            fact["object"] = rng.choice([o for o in world.objects[fact["relation"]] if o != fact["object"]])
        lines.append(json.dumps(fact) + "\n")
    folder.mkdir(exist_ok=True)
    path = folder / "facts.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path
