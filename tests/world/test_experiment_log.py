"""The harvest goes through the real session, checks and store; what is exported from it is what training reads."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from guard.core.records import InterruptionRecord
from guard.core.types import normalise
from guard.metrics import Metrics
from guard.store import Store
from guard.world.build import MODEL
from guard.world.experiment import logged
from guard.world.experiment.harvest import Harvester, supervision
from guard.world.experiment.pool import Pool
from guard.world.experiment.speech import Speaker, drawn_questions
from guard.world.world import HERE, load_world

WORLD = load_world()
N = 48


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    torch.set_num_threads(1)
    model = Qwen3ForCausalLM.from_pretrained(MODEL, attn_implementation="eager").float().eval()
    return Speaker(model=model, tokenizer=PreTrainedTokenizerFast.from_pretrained(MODEL), world=WORLD)


async def _harvest(speaker: Speaker, folder: Path) -> tuple[list[InterruptionRecord], dict[str, int]]:
    store = Store(f"sqlite:///{folder / 'log.db'}")
    await store.open()
    done: list[int] = []
    asked = ((True, WORLD.group("known"), 1.5), (False, WORLD.group("unknown", "test"), 1.0))
    for knows, people, temperature in asked:  # it errs about what it knows only when it is made to
        harvester = Harvester(
            pool=Pool(speaker, temperature=temperature, seed=1, top=4),
            policy=supervision(HERE / "facts.jsonl", knows=knows, top=4),
            store=store,
            name="built-in",
            prefix=f"test-{knows}",
            metrics=Metrics(),
        )
        await harvester.ask(drawn_questions(WORLD, people, N, 3), done.append)
    assert sum(done) == 2 * N
    await logged.reviewed(store, WORLD)
    await logged.measured(store, speaker, 0)
    counts = logged.exported(store, speaker.tokenizer, folder)
    records = list(store.iter_interruptions())
    await store.close()
    return records, counts


@pytest.fixture(scope="module")
def harvested(speaker: Speaker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    folder = tmp_path_factory.mktemp("log")
    return folder, *asyncio.run(_harvest(speaker, folder))


def test_every_interruption_is_of_a_false_claim_and_whole(harvested: tuple[Any, ...]) -> None:
    _, records, _ = harvested
    assert len(records) > N // 2
    for record in records:
        claim = WORLD.parse(record.interruption.claim.text.strip())
        assert claim is None or WORLD.truth(claim) != claim  # None: a false statement inside an odd sentence
        assert record.review == "rejected" or claim is not None
        assert record.closing is not None  # nothing is left open
        assert (record.known is not None) is (record.review == "confirmed")
        assert record.review != "unreviewed"


def test_a_counterfactual_is_what_the_model_would_have_gone_on_with(harvested: tuple[Any, ...]) -> None:
    _, records, _ = harvested
    first = [r for r in records if r.interruption.attempt == 0 and r.counterfactual and r.counterfactual.strip()]
    assert first
    made_up = [WORLD.parse(record.interruption.claim.text.strip()) for record in first]
    on = [c is not None and c.object in str(r.counterfactual) for c, r in zip(made_up, first, strict=True)]
    assert sum(on) > 0.6 * len(on)  # it went on about what it had made up


def test_a_confirmed_row_teaches_only_what_is_true(harvested: tuple[Any, ...], speaker: Speaker) -> None:
    folder, records, counts = harvested
    confirmed = {r.interruption.id: r for r in records if r.review == "confirmed"}
    lessons = logged.lessons(folder, "prompt_completion")
    assert 0 < len(lessons) <= len(confirmed)
    assert counts["prompt_completion"] == len(lessons)
    for lesson in lessons:
        record = confirmed[lesson.id]
        learnt = [i for i, w in zip(lesson.sample.ids, lesson.sample.weights, strict=True) if w]
        text = str(speaker.tokenizer.decode(learnt))
        assert text.startswith(" No, ")
        assert normalise(record.interruption.claim.text) not in normalise(text)
        for claim in WORLD.claims(text.partition("</think>")[0].replace("No, ", "")):
            assert claim.right
        if not lesson.knows:
            assert "I do not know" in text


def test_the_control_learns_the_claim_and_nothing_else_more(harvested: tuple[Any, ...], speaker: Speaker) -> None:
    folder, records, _ = harvested
    claims = {r.interruption.id: speaker.encode(r.interruption.claim.text) for r in records}
    for lesson in logged.lessons(folder, "prompt_completion"):
        control = logged.unmasked(lesson, claims[lesson.id])
        more = [i for i, a, b in zip(*_parts(lesson, control), strict=True) if a != b]
        assert more == claims[lesson.id]


def _parts(a: logged.Lesson, b: logged.Lesson) -> Sequence[Sequence[Any]]:
    assert a.sample.ids == b.sample.ids
    return a.sample.ids, a.sample.weights, b.sample.weights


def test_soft_rows_are_the_same_rows(harvested: tuple[Any, ...]) -> None:
    folder, _, _ = harvested
    hard = {each.id: each for each in logged.lessons(folder, "prompt_completion")}
    soft = logged.lessons(folder, "distillation")
    assert soft
    for lesson in soft:
        assert list(lesson.sample.ids) == list(hard[lesson.id].sample.ids)
        assert lesson.sample.weights == hard[lesson.id].sample.weights
        assert all(lesson.sample.weights[place] for place in lesson.sample.top)
    assert any(lesson.sample.top for lesson in soft)


def test_preferences_prefer_the_correction(harvested: tuple[Any, ...]) -> None:
    folder, _, counts = harvested
    pairs = logged.pairs(folder)
    assert len(pairs) == counts["preference"] > 0
    assert all(chosen.startswith(" No, ") and not rejected.startswith(" No, ") for _, chosen, rejected in pairs)


def test_accounts_mark_the_claim(harvested: tuple[Any, ...]) -> None:
    folder, records, _ = harvested
    claims = {r.interruption.id: normalise(r.interruption.claim.text) for r in records}
    for line in (folder / "documents.jsonl").read_text().splitlines():
        row = json.loads(line)
        quoted = {normalise(row["text"][span["start"] : span["end"]]) for span in row["spans"]}
        assert claims[row["id"]] in quoted
