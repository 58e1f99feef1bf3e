"""A turn of the pool is supervised as a turn of the real backend: the same cuts, the same text, the same records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from guard.backends import ChatRequest, Turn
from guard.backends.transformers.backend import LocalOptions, TransformersBackend
from guard.core import events as ev
from guard.core.config import Config
from guard.core.session import Session
from guard.core.types import Closing, Evidence, Interruption, Passage
from guard.core.usage import Ledger
from guard.registry import LoadedPolicy
from guard.relay import Relay
from guard.targets.example import IN_PLACE
from guard.world.build import MODEL
from guard.world.experiment.harvest import supervision
from guard.world.experiment.pool import Pool, PooledTurn
from guard.world.experiment.speech import Speaker, drawn_questions
from guard.world.world import HERE, Question, load_world

WORLD = load_world()
QUESTIONS = [
    *drawn_questions(WORLD, WORLD.group("unknown", "test"), 3, 11),
    *drawn_questions(WORLD, WORLD.group("known"), 1, 12),
]


class Seen:
    """What came of a supervised answer."""

    def __init__(self) -> None:
        self.cuts: list[Interruption] = []
        self.closings: list[Closing] = []
        self.text = {"reasoning": "", "content": ""}
        self.finished: list[str] = []

    async def record(self, cut: Interruption) -> None:
        self.cuts.append(cut)

    async def emit(self, out: Sequence[Any]) -> None:
        for _, piece in out:
            if isinstance(piece, ev.Piece):
                self.text[str(piece.channel)] += piece.text
            else:
                self.finished.append(piece.reason)

    def event(self, choice: int, event: Any) -> None: ...

    def command(self, choice: int, command: Any) -> None:
        if isinstance(command, ev.Finish):
            self.closings += command.closings

    def examined(self, check: str, seconds: float) -> None: ...

    def spent(self, choice: int, segment: int, check: str, tokens: int) -> None: ...


async def supervised(turn: Turn, question: Question, loaded: LoadedPolicy, speaker: Speaker) -> Seen:
    seen = Seen()
    session = Session(
        Config(
            session="s",
            choice=0,
            policy=loaded.policy,
            checks=loaded.specs,
            count=lambda text: len(speaker.encode(text)),
        )
    )
    relay = Relay(
        turn=turn,
        sessions=[session],
        policy=loaded.policy,
        checks=loaded.checks,
        evidence=Evidence(question=question.text, passages=(Passage(source="user", text=question.text),)),
        emit=seen.emit,
        record=seen.record,
        ledger=Ledger(),
        observers=[seen],
    )
    await relay.run()
    await turn.close()
    return seen


async def both(loaded: LoadedPolicy) -> list[tuple[Seen, Seen]]:
    torch.set_num_threads(1)
    model = Qwen3ForCausalLM.from_pretrained(MODEL, attn_implementation="eager").float().eval()
    speaker = Speaker(model=model, tokenizer=PreTrainedTokenizerFast.from_pretrained(MODEL), world=WORLD)
    pool = Pool(speaker, temperature=0.0, seed=1, top=2)
    pooled = await asyncio.gather(*(supervised(PooledTurn(pool, q.text), q, loaded, speaker) for q in QUESTIONS))
    backend = TransformersBackend(LocalOptions(model=str(MODEL), top=2))
    await backend.start()
    try:
        streamed = []
        for question in QUESTIONS:
            body = {"messages": [{"role": "user", "content": question.text}], "temperature": 0, "max_tokens": 200}
            streamed.append(await supervised(backend.begin(ChatRequest(body=body)), question, loaded, speaker))
    finally:
        await backend.close()
    return list(zip(pooled, streamed, strict=True))


@pytest.fixture(scope="module", params=[True, False], ids=["knows", "does not know"])
def answers(request: pytest.FixtureRequest) -> list[tuple[Seen, Seen]]:
    return asyncio.run(both(supervision(HERE / "facts.jsonl", knows=request.param, top=2)))


def test_the_same_claims_are_cut_with_the_same_words(answers: list[tuple[Seen, Seen]]) -> None:
    assert sum(len(pooled.cuts) for pooled, _ in answers) >= 3
    for pooled, streamed in answers:
        for ours, theirs in zip(pooled.cuts, streamed.cuts, strict=True):
            for name in ("number", "attempt", "kept", "put_in", "reason", "correction", "check"):
                assert getattr(ours, name) == getattr(theirs, name), name
            # Log-probabilities differ by rounding: a batch is padded.
            assert replace(ours.claim, tokens=()) == replace(theirs.claim, tokens=())
            assert [token.id for token in ours.claim.tokens] == [token.id for token in theirs.claim.tokens]
            for mine, other in zip(ours.claim.tokens, theirs.claim.tokens, strict=True):
                assert mine.logprob == pytest.approx(other.logprob, abs=1e-3)
                assert mine.top[0][0] == other.top[0][0]


def test_the_client_reads_the_same(answers: list[tuple[Seen, Seen]]) -> None:
    for pooled, streamed in answers:
        assert pooled.text == streamed.text
        assert pooled.finished == streamed.finished


def test_the_endings_are_the_same(answers: list[tuple[Seen, Seen]]) -> None:
    for pooled, streamed in answers:
        for ours, theirs in zip(pooled.closings, streamed.closings, strict=True):
            for name in ("outcome", "followed", "answer", "complete"):
                assert getattr(ours, name) == getattr(theirs, name), name
            assert {ours.continuation, theirs.continuation} <= IN_PLACE  # the pool tokenises what was kept anew
            assert [(at, t.id) for at, t in ours.followed_tokens] == [(at, t.id) for at, t in theirs.followed_tokens]


def test_what_the_pool_throws_away_begins_with_what_a_stream_would(answers: list[tuple[Seen, Seen]]) -> None:
    for pooled, streamed in answers:
        for ours, theirs in zip(pooled.cuts, streamed.cuts, strict=True):
            for channel, text in theirs.discarded.items():
                assert ours.discarded.get(channel, "").startswith(text)
