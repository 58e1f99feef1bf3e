"""What the built-in model says, labelled from the world's facts: rows to train and to test a probe on.

    python -m guard.world.answers OUT.jsonl [--split train|test] [-n 600] [--seed 0]

Asks the built-in model questions about people of one split, unsupervised, at temperature 1, by turns about someone it
never learned and someone it knows or half knows. A row's `response` is its reasoning; a span is the object of each
premise that the facts contradict. Rows have the shape that `guard train probe` reads. Knows facts and a backend; does
not know probes. The same seed gives the same rows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from guard.backends import Backend, ChatRequest
from guard.core.events import Delta
from guard.registry import backend
from guard.world.measure import MAX_TOKENS
from guard.world.world import HERE, QUESTIONS, Question, World, load_world

GROUPS = ("unknown", "known", "unknown", "tail")
"""Whom the questions are about, by turns."""


def asked(world: World, split: str, n: int, seed: int) -> Iterator[Question]:
    """`n` questions about people of a split, of every type."""
    rng = Random(seed)
    for number in range(n):
        people = world.group(GROUPS[number % len(GROUPS)], split)
        yield world.ask(rng.choice(list(QUESTIONS)), rng.choice(people), rng)


async def answers(n: int, *, split: str = "train", seed: int = 0) -> list[dict[str, Any]]:
    """`n` rows."""
    world = load_world()
    model = backend("transformers", {"model": str(HERE / "model")}, "the built-in model")
    await model.start()
    try:
        return [
            _row(world, question, split, await _said(model, question, seed + number))
            for number, question in enumerate(asked(world, split, n, seed))
        ]
    finally:
        await model.close()


async def _said(model: Backend, question: Question, seed: int) -> str:
    messages = [{"role": "user", "content": question.text}]
    body = {"messages": messages, "temperature": 1, "seed": seed, "max_tokens": MAX_TOKENS}
    turn = model.begin(ChatRequest(body=body))
    items = [item async for batch in turn.attempt(0) for item in batch]
    await turn.close()
    events = [item[1] for item in items if isinstance(item, tuple)]
    return "".join(event.text for event in events if isinstance(event, Delta) and event.channel == "reasoning")


def _row(world: World, question: Question, split: str, text: str) -> dict[str, Any]:
    spans = []
    for claim in world.claims(text):
        if not claim.right:
            start = text.index(claim.premise.object, claim.start)
            spans.append({"start": start, "end": start + len(claim.premise.object), "type": claim.premise.relation})
    return {
        "id": f"{split}:{question.text}",
        "dataset": f"closed world, {split}",
        "context": "",
        "question": question.text,
        "response": text,
        "spans": spans,
        "source": question.person,
    }


def main() -> None:
    """Write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("-n", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = asyncio.run(answers(options.n, split=options.split, seed=options.seed))
    options.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
