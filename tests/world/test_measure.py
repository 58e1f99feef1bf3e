"""Scores come out the same however the stream is cut, and the measure runs against a real HTTP endpoint."""

import json
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from guard.world.measure import Endpoint, Reply, Score, score
from guard.world.world import QUESTIONS, Question, World, load_world

PERSON = "Ada Velm"
Cut = Callable[[str], list[str]]


def random_cuts(text: str) -> list[str]:
    rng = Random(len(text))
    places = sorted({0, len(text), *(rng.randrange(len(text) + 1) for _ in range(5))})
    return [text[a:b] for a, b in pairwise(places)]


CUTS: dict[str, Cut] = {"whole": lambda text: [text], "chars": list, "random": random_cuts}


@pytest.fixture(scope="module")
def world() -> World:
    return load_world()


@pytest.fixture
def question(world: World) -> Question:
    return world.ask("country", PERSON, Random(0))


@pytest.fixture(params=CUTS)
def cut(request: pytest.FixtureRequest) -> Cut:
    return CUTS[request.param]


def chunk(event: dict[str, Any] | None = None, **delta: str) -> dict[str, Any]:
    made: dict[str, Any] = {"choices": [{"index": 0, "delta": delta}]}
    return made | ({"guard": event} if event else {})


def received(reasoning: str, content: str, cut: Cut, *events: dict[str, Any]) -> Reply:
    reply = Reply()
    for piece in cut(reasoning):
        reply.add(chunk(reasoning_content=piece))
    for event in events:
        reply.add(chunk(event))
    for piece in cut(content):
        reply.add(chunk(content=piece))
    return reply


class Told:
    """What there is to say about one question: the truth, and a wrong first premise."""

    def __init__(self, world: World, question: Question) -> None:
        self.chain = world.chain(question.type, question.person)
        first = self.chain[0]
        self.wrong_object = next(name for name in world.objects[first.relation] if name != first.object)
        wording = world.relations[first.relation]
        self.wrong = wording.state(first.subject, self.wrong_object)
        self.denial = wording.deny(first.subject, self.wrong_object)
        self.truth = world.state(first)
        self.rest = " ".join(world.state(premise) for premise in self.chain[1:])
        self.answer = f"{question.answer}."

    def interruption(self, **changes: Any) -> dict[str, Any]:
        span = [0, len(self.wrong)]
        return {
            "v": 1,
            "event": "interruption",
            "channel": "reasoning",
            "span": span,
            "reason": self.denial,
        } | changes


@pytest.fixture
def told(world: World, question: Question) -> Told:
    return Told(world, question)


def test_an_unsupervised_right_answer(world: World, question: Question, told: Told, cut: Cut) -> None:
    reply = received(f"{told.truth} {told.rest}", told.answer, cut)
    assert score(world, question, reply) == Score(right=True, first_wrong=False, false_interruption=False)


def test_an_unsupervised_wrong_answer(world: World, question: Question, told: Told, cut: Cut) -> None:
    reply = received(f"{told.wrong} {told.rest}", "Nowhere.", cut)
    assert score(world, question, reply) == Score(right=False, first_wrong=True, false_interruption=False)


def test_a_deserved_interruption(world: World, question: Question, told: Told, cut: Cut) -> None:
    text = f"{told.wrong} No, {told.denial} {told.truth} {told.rest}"
    reply = received(text, told.answer, cut, told.interruption())
    assert score(world, question, reply) == Score(right=True, first_wrong=True, false_interruption=False)


def test_an_interruption_of_a_right_statement_is_false(world: World, question: Question, told: Told, cut: Cut) -> None:
    reply = received(f"{told.truth} {told.rest}", told.answer, cut, told.interruption(span=[0, len(told.truth)]))
    assert score(world, question, reply) == Score(right=True, first_wrong=False, false_interruption=True)


def test_a_retraction_of_the_first_premise(world: World, question: Question, told: Told, cut: Cut) -> None:
    event = told.interruption(event="retraction", discarded=len(told.wrong))
    reply = received(f"{told.truth} {told.rest}", told.answer, cut, event)
    assert score(world, question, reply) == Score(right=True, first_wrong=True, false_interruption=False)


def test_a_later_retraction_leaves_the_first_premise_alone(
    world: World, question: Question, told: Told, cut: Cut
) -> None:
    start = len(told.truth)
    second, *_ = told.chain[1:]
    wrong = next(name for name in world.objects[second.relation] if name != second.object)
    denial = world.relations[second.relation].deny(second.subject, wrong)
    event = told.interruption(event="retraction", span=[start, start + 20], reason=denial)
    reply = received(f"{told.truth} {told.rest}", told.answer, cut, event)
    assert score(world, question, reply) == Score(right=True, first_wrong=False, false_interruption=False)


def test_a_retraction_that_cannot_be_read_is_false(world: World, question: Question, told: Told, cut: Cut) -> None:
    event = told.interruption(event="retraction", reason="It is so.")
    assert score(world, question, received(told.truth, told.answer, cut, event)).false_interruption


def test_other_events_are_no_interventions(world: World, question: Question, told: Told, cut: Cut) -> None:
    events = [told.interruption(event=name) for name in ("late", "limit", "unscanned")]
    reply = received(f"{told.truth} {told.rest}", told.answer, cut, *events)
    assert score(world, question, reply) == Score(right=True, first_wrong=False, false_interruption=False)


def test_an_error_frame_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="out of breath"):
        Reply().add({"error": {"message": "out of breath"}})


def scripted(world: World) -> web.Application:
    """An endpoint that always confabulates and supervises itself as its policy says; sent byte by byte."""

    async def complete(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        told = Told(world, find(world, body["messages"][0]["content"]))
        policy = body["model"].partition("@")[2]
        replies = {
            "off": [chunk(reasoning_content=told.wrong), chunk(content="Nowhere.")],
            "default": [
                chunk(reasoning_content=told.wrong),
                chunk(told.interruption(), reasoning_content=f" No, {told.truth} {told.rest}"),
                chunk(content=told.answer),
            ],
            "retract": [
                chunk(told.interruption(event="retraction", span=[0, 0]), reasoning_content=told.truth),
                chunk(content=told.answer),
            ],
        }[policy]
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        frames = [
            ": keep-alive\n\n",
            *(f"data: {json.dumps(frame)}\n\n" for frame in replies),
            "data: [DONE]\n\n",
        ]
        for byte in "".join(frames).encode():
            await response.write(bytes([byte]))
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    return app


def find(world: World, text: str) -> Question:
    """The question that was asked in these words."""
    for type_, (_, phrasings) in QUESTIONS.items():
        for phrasing in phrasings:
            before, after = phrasing.split("{person}")
            person = text.removeprefix(before).removesuffix(after)
            if phrasing.format(person=person) == text and ("born", person) in world.facts:
                return Question(type=type_, person=person, text=text, answer=world.chain(type_, person)[-1].object)
    raise LookupError(text)


async def test_the_measure_over_http(world: World) -> None:
    async with TestServer(scripted(world)) as server:
        figures = await Endpoint(url=str(server.make_url("/v1"))).measure(n=6, seeds=(0, 1))
    nothing, everything = {"mean": 0.0, "sd": 0.0}, {"mean": 1.0, "sd": 0.0}
    assert set(figures) == {"unsupervised", "interrupt", "retract"}
    for mode, right in (("unsupervised", nothing), ("interrupt", everything), ("retract", everything)):
        assert figures[mode]["unknown_right"] == figures[mode]["known_right"] == right
        assert figures[mode]["unknown_first_wrong"] == everything
        assert figures[mode]["false_interruptions"] == nothing


async def test_a_refusal_is_raised(world: World) -> None:
    async with TestServer(web.Application()) as server:
        with pytest.raises(aiohttp.ClientResponseError):
            await Endpoint(url=str(server.make_url("/v1"))).measure(n=1, seeds=(0,))
