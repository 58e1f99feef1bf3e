"""Measures what supervision does to the built-in policy model, through an OpenAI-compatible endpoint and
nothing else.

Every figure comes from streamed chat completions as a client gets them: the text of the two channels and
the `guard` objects on the chunks. Knows the closed world's facts; does not know the server, its policies or
the model.

What is counted, each as a share of requests:

- `unknown_right`, `known_right`: the answer is the facts' answer, for people never learned and learned.
- `unknown_first_wrong`: the first premise the model itself wrote is wrong. A retracted one was never sent, so
  a retraction at the place of the first premise counts as one.
- `false_interruptions`: requests with an interruption or a retraction of what is *not* a wrong statement. The
  claim is read from the text at its span; where that was never sent or is no well-formed sentence ("Ada Velm
  was born in Ilse Harrow was born in Morgate."), from the denial in `reason`. An intervention whose claim
  cannot be read from either counts as false.
"""

import asyncio
import json
import statistics
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

import aiohttp

from guard.world.world import QUESTIONS, Premise, Question, World, load_world

POLICIES = {"unsupervised": "off", "interrupt": "default", "retract": "retract"}
INTERVENTIONS = ("interruption", "retraction")
MAX_TOKENS = 96
Figures: TypeAlias = dict[str, dict[str, dict[str, float]]]


@dataclass(slots=True, kw_only=True)
class Reply:
    """A streamed answer as received: the text of each channel and guard's events, in order."""

    reasoning: str = ""
    content: str = ""
    events: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Takes in one chat completion chunk; raises RuntimeError for an error frame."""
        if "error" in chunk:
            raise RuntimeError(f"the endpoint broke off with {chunk['error']!r}")
        for choice in chunk.get("choices", ()):
            delta = choice.get("delta") or {}
            self.reasoning += delta.get("reasoning_content") or ""
            self.content += delta.get("content") or ""
        if event := chunk.get("guard"):
            self.events.append(event)

    @property
    def interventions(self) -> list[Mapping[str, Any]]:
        """The events that changed the text."""
        return [event for event in self.events if event.get("event") in INTERVENTIONS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one reply was worth."""

    right: bool
    first_wrong: bool
    false_interruption: bool


def score(world: World, question: Question, reply: Reply) -> Score:
    """Judges one reply against the facts."""
    return Score(
        right=reply.content.strip().rstrip(".") == question.answer,
        first_wrong=_first_wrong(world, reply),
        false_interruption=any(not _deserved(world, reply, event) for event in reply.interventions),
    )


def draw_questions(world: World, people: Sequence[str], n: int, seed: int = 0) -> tuple[Question, ...]:
    """`n` questions of every type about these people, always the same for the same seed."""
    rng = Random(seed)
    return tuple(world.ask(rng.choice(list(QUESTIONS)), rng.choice(people), rng) for _ in range(n))


def questions(k: int = 6) -> tuple[Question, ...]:
    """Questions for a newcomer to ask, by turns about someone never learned and someone the model knows."""
    world, rng = load_world(), Random(0)
    strangers, known, types = world.group("unknown", "test"), world.group("known", "test"), list(QUESTIONS)
    people = [(strangers if index % 2 == 0 else known)[index // 2] for index in range(k)]
    return tuple(world.ask(types[index // 2 % len(types)], person, rng) for index, person in enumerate(people))


def measure(
    base_url: str,
    n: int = 200,
    seeds: Sequence[int] = (0, 1, 2),
    temperature: float = 1.0,
    concurrency: int = 8,
    model: str = "guard-world",
) -> Figures:
    """Asks `n` questions about each kind of people, under each policy and sampling seed.

    `base_url` is what an OpenAI client is given, with its `/v1`. Returns {mode: {figure: {"mean", "sd"}}},
    over the seeds. The questions are the same throughout; only the sampling differs. Raises
    aiohttp.ClientError where the endpoint cannot be reached or refuses.
    """
    endpoint = Endpoint(url=base_url, model=model, temperature=temperature, concurrency=concurrency)
    return asyncio.run(endpoint.measure(n, seeds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to ask, and how."""

    url: str
    model: str = "guard-world"
    temperature: float = 1.0
    concurrency: int = 8

    async def measure(self, n: int, seeds: Sequence[int]) -> Figures:
        """The asynchronous body of `measure`."""
        world = load_world()
        figures: Figures = {}
        connector = aiohttp.TCPConnector(limit=self.concurrency)
        patient = aiohttp.ClientTimeout(total=None, sock_read=300)
        async with aiohttp.ClientSession(connector=connector, timeout=patient) as session:
            for mode, policy in POLICIES.items():
                runs = [await self._run(session, world, policy, n, seed) for seed in seeds]
                figures[mode] = {figure: _spread([run[figure] for run in runs]) for figure in runs[0]}
        return figures

    async def ask(self, session: aiohttp.ClientSession, question: Question, policy: str, seed: int) -> Reply:
        """One streamed request."""
        body = {
            "model": f"{self.model}@{policy}",
            "messages": [{"role": "user", "content": question.text}],
            "stream": True,
            "temperature": self.temperature,
            "seed": seed,
            "max_tokens": MAX_TOKENS,
        }
        reply = Reply()
        async with session.post(f"{self.url.rstrip('/')}/chat/completions", json=body) as response:
            response.raise_for_status()
            async for chunk in _chunks(response.content):
                reply.add(chunk)
        return reply

    async def _run(
        self, session: aiohttp.ClientSession, world: World, policy: str, n: int, seed: int
    ) -> dict[str, float]:
        async def scores(asked: Sequence[Question], first_seed: int) -> list[Score]:
            seeds = range(first_seed, first_seed + len(asked))
            replies = await asyncio.gather(
                *(self.ask(session, q, policy, s) for q, s in zip(asked, seeds, strict=True))
            )
            return [score(world, question, reply) for question, reply in zip(asked, replies, strict=True)]

        unknown = await scores(draw_questions(world, world.group("unknown", "test"), n), 2 * n * seed)
        known = await scores(draw_questions(world, world.group("known"), n), 2 * n * seed + n)
        return {
            "unknown_right": _share(s.right for s in unknown),
            "unknown_first_wrong": _share(s.first_wrong for s in unknown),
            "known_right": _share(s.right for s in known),
            "false_interruptions": _share(s.false_interruption for s in unknown + known),
        }


async def _chunks(lines: AsyncIterable[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The JSON objects of a server-sent event stream, without keep-alive comments and the closing [DONE]."""
    async for line in lines:
        name, _, value = line.decode().strip().partition(":")
        if name == "data" and value.strip() != "[DONE]":
            yield json.loads(value)


def _first_wrong(world: World, reply: Reply) -> bool:
    """Whether the model's own first premise was wrong, sent or retracted."""
    first = next(iter(world.claims(reply.reasoning)), None)
    if first and not first.right:
        return True
    end = first.end if first else len(reply.reasoning) + 1
    return any(
        event["event"] == "retraction" and event.get("channel") == "reasoning" and event["span"][0] < end
        for event in reply.interventions
    )


def _deserved(world: World, reply: Reply, event: Mapping[str, Any]) -> bool:
    """Whether an intervention fell on a wrong statement."""
    premise = _claim(world, reply, event)
    return premise is not None and world.truth(premise) not in (None, premise)


def _claim(world: World, reply: Reply, event: Mapping[str, Any]) -> Premise | None:
    """The statement an intervention fell on."""
    start, end = event["span"]
    text = reply.reasoning if event.get("channel") == "reasoning" else reply.content
    stated = world.parse(text[start:end]) if event["event"] == "interruption" else None
    return stated or world.parse_negation(event.get("reason") or "")


def _share(hits: Iterable[bool]) -> float:
    counted = list(hits)
    return sum(counted) / len(counted)


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": statistics.mean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}
