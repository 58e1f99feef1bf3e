"""Answers that are held to a JSON schema: whatever a model would rather say, they parse, and they end in time."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from guard.backends.transformers import grammar as module
from guard.backends.transformers.constraint import Constraint, Grammar
from guard.backends.transformers.grammar import Grammars
from guard.backends.transformers.vocabulary import Vocabulary
from guard.core.types import Resume
from guard.errors import RequestError, UpstreamError
from tests.backends.tiny_models import (
    Script,
    answer,
    collect,
    local,
    reasons,
    request,
    running,
    size,
    text,
    tokenizer,
)

END = int(tokenizer().eos_token_id)
WORDS = Vocabulary(tokenizer(), ("<think>", "</think>"))
GRAMMARS = Grammars(WORDS, {END}, size())
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "say": {"enum": ["yes", "no"], "type": "string"},
        "why": {"type": "string", "maxLength": 80},
        "marks": {"type": "array", "items": {"enum": [0, 1, 2]}, "maxItems": 3},
        "by": {"type": "string", "maxLength": 80},
    },
    "required": ["say", "why", "marks", "by"],
    "additionalProperties": False,
}


def grammar(schema: Any = None) -> Grammar:
    return GRAMMARS.grammar(json.dumps(SCHEMA if schema is None else schema))


def fits(said: str) -> dict[str, Any]:
    """The answer, read by hand: what of a schema pydantic does not know is little."""
    found: dict[str, Any] = TypeAdapter(dict[str, Any]).validate_json(said)
    assert list(found) == ["say", "why", "marks", "by"]
    assert found["say"] in ("yes", "no")
    assert all(mark in (0, 1, 2) for mark in found["marks"])
    assert len(found["marks"]) <= 3
    assert max(len(found["why"]), len(found["by"])) <= 80
    return found


def asked(schema: Any = None, **body: Any) -> Any:
    told = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA if schema is None else schema}}
    return request(response_format=told, **{"max_tokens": 400, **body})


# The walk


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.integers(64, 300))
def test_any_walk_through_the_grammar_ends_in_time_and_fits(random: Any, limit: int) -> None:
    walk, said = Constraint(grammar()), b""
    assert limit > grammar().steps[grammar().start]
    for left in range(limit, 0, -1):
        token = random.choice(walk.allowed(left).tolist())
        if token == END:
            break
        walk.advance(token)
        said += WORDS.bytes(token)
    else:
        pytest.fail("it did not end")
    fits(said.decode())


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_walk_may_begin_in_the_middle_however_its_beginning_is_cut_into_tokens(random: Any) -> None:
    begun = '{"say": "yes", "why": "Die Hauptstadt 東京 \\" 😀", "ma'
    ids = WORDS.plain(begun)
    single = [id for char in begun for id in WORDS.plain(char)]
    assert ids != single
    one, other = Constraint(grammar(), ids), Constraint(grammar(), single)
    assert set(one.allowed(300).tolist()) == set(other.allowed(300).tolist())
    assert END not in one.allowed(300).tolist()


def test_end_tokens_come_only_where_the_text_may_end() -> None:
    walk = Constraint(grammar({"type": "object", "properties": {}, "additionalProperties": False}))
    while (allowed := walk.allowed(50).tolist()) != [END]:
        assert END not in allowed
        walk.advance(next(token for token in allowed if WORDS.bytes(token).strip()))


@pytest.mark.parametrize("begun", ['{"say": "maybe', "No.", '{"why'])
def test_a_beginning_that_does_not_fit_is_a_bad_request(begun: str) -> None:
    with pytest.raises(RequestError, match="does not fit the schema"):
        Constraint(grammar(), WORDS.plain(begun))


def test_with_too_small_a_budget_the_grammar_still_holds() -> None:
    walk = Constraint(grammar())
    assert set(walk.allowed(3).tolist()) == set(walk.allowed(300).tolist())


def test_a_shared_bound_is_counted_and_others_are_left_to_the_automaton() -> None:
    assert (grammar().longest, len(grammar().steps) < 200) == (80, True)
    short = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 5}}, "required": ["a"]}
    mixed = {**SCHEMA, "properties": {**SCHEMA["properties"], "by": {"type": "string", "maxLength": 90}}}
    assert grammar(short).longest is None
    assert grammar(mixed).longest is None
    walk = Constraint(grammar(short), WORDS.plain('{"a":"12345'))
    assert all(WORDS.bytes(token).startswith(b'"') for token in walk.allowed(50).tolist())


# What a schema may ask for

STRING, NUMBER = {"type": "string"}, {"type": "integer"}
SIMPLE = st.one_of(
    st.sampled_from(["integer", "number", "boolean", "null", "string"]).map(lambda kind: {"type": kind}),
    st.builds(lambda most: {"type": "string", "maxLength": most}, st.sampled_from([0, 3, 20, 80])),
    st.builds(lambda least: {"type": "string", "minLength": least, "maxLength": 20}, st.integers(0, 22)),
    st.lists(st.sampled_from(["a", 'q"\\\n', "é😀", 1, -2.5, 1e22, None, True, "x.*["]), max_size=4).map(
        lambda values: {"enum": values}
    ),
    st.sampled_from(["date", "time", "date-time", "uuid", "email"]).map(lambda f: {"type": "string", "format": f}),
    st.sampled_from(["^.*$", "^[^a]*$", "(a|b)*a(a|b){18}"]).map(lambda p: {"type": "string", "pattern": p}),
)
SCHEMAS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, inner, st.integers(0, 9)),
        st.dictionaries(st.sampled_from(["a", 'q"', "é", "type"]), inner, max_size=3).map(
            lambda held: {"type": "object", "properties": held, "required": list(held)[1:]}
        ),
        st.builds(
            lambda name, members: {name: members},
            st.sampled_from(["anyOf", "allOf"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=6,
)


def valid(value: Any, schema: Any) -> bool:
    """By hand: all that the strategy above says."""
    for name in ("anyOf", "allOf"):
        if name in schema:
            return any(valid(value, member) for member in schema[name])
    if "enum" in schema:
        return any(value == each and type(value) is type(each) for each in schema["enum"])
    if schema["type"] == "object":
        return set(schema["required"]) <= set(value) <= set(schema["properties"]) and all(
            valid(each, schema["properties"][name]) for name, each in value.items()
        )
    if schema["type"] == "array":
        return len(value) <= schema["maxItems"] and all(valid(each, schema["items"]) for each in value)
    if schema["type"] == "string":
        least, most = schema.get("minLength", 0), schema.get("maxLength", 10**9)
        return isinstance(value, str) and least <= len(value) <= most and "pattern" not in schema
    kinds = {"integer": (int,), "number": (int, float), "boolean": (bool,), "null": (type(None),)}
    return type(value) in kinds[schema["type"]]


@settings(deadline=None, max_examples=150)
@given(SCHEMAS, st.randoms(use_true_random=False))
def test_any_schema_is_refused_or_whatever_is_written_is_of_it(schema: Any, random: Any) -> None:
    try:
        held = grammar(schema)
    except RequestError:
        return
    walk, said = Constraint(held), b""
    for left in range(held.steps[held.start] + 60, 0, -1):
        token = random.choice(walk.allowed(left).tolist())
        if token == END:
            break
        walk.advance(token)
        said += WORDS.bytes(token)
    assert valid(json.loads(said.decode()), schema)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string", "maxLength": 20}, "'maxLength' at the top"),
        ({"type": "string", "minLength": 20}, "'maxLength' at the top"),
        ({"anyOf": [NUMBER, {"anyOf": [NUMBER, {"type": "string", "maxLength": 20}]}]}, "'maxLength' at the top"),
        ({"type": "string", "pattern": "(a|b)*a(a|b){18}"}, "'pattern' is not kept"),
        ({"type": "array", "items": {"type": "string", "pattern": "^.*$"}}, "'pattern' is not kept"),
        ({"type": "string", "format": "email"}, "'format' 'email'"),
        ({"allOf": [STRING, NUMBER]}, "'allOf' of more than one"),
        ({"enum": []}, "leaves no value"),
        ({"type": "string", "enum": [1]}, "leaves no value"),
        ({"type": "object"}, "name its 'properties'"),
        ({"type": "array", "items": {}}, "'type' is None"),
        ({"type": "object", "properties": {'a"b': NUMBER}}, "quotes, backslashes"),
        ({"type": "array", "items": STRING, "minItems": 3, "maxItems": 2}, "'minItems' is above"),
        ({"type": "array", "items": STRING, "maxItems": 10**9}, "too many states"),
        (
            {"anyOf": [{"type": "array", "items": {"enum": [*range(n), *range(n + 1, 12)]}} for n in range(12)]},
            "states",
        ),
        ({"$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}, "leads back"),
        ({"type": "object", "properties": {"a": NUMBER}, "minProperties": 1}, "'minProperties' is not kept"),
    ],
)
def test_what_would_take_too_long_or_be_no_json_is_refused_by_name(schema: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said) as raised:
        grammar(schema)
    assert "\n" not in str(raised.value)


def test_a_large_vocabulary_is_asked_for_fewer_states() -> None:
    held = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 40}}}
    assert grammar(held).steps
    with pytest.raises(RequestError, match="for this vocabulary"):
        Grammars(WORDS, {END}, 150_000).grammar(json.dumps(held))


async def test_one_thread_compiles_and_what_is_too_much_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    grammars, gate, threads = Grammars(WORDS, {END}, size()), threading.Event(), set[str]()
    compiled = grammars.grammar

    def slow(schema: str) -> Grammar:
        threads.add(threading.current_thread().name)
        gate.wait(30)
        return compiled(schema)

    monkeypatch.setattr(grammars, "grammar", slow)
    schemas = [json.dumps({"const": number}) for number in range(module.WAITING)]
    tasks = [asyncio.create_task(grammars.wanted(schema)) for schema in (*schemas, schemas[-1])]
    async with asyncio.timeout(20):
        while len(grammars._waiting) < module.WAITING - 1:
            await asyncio.sleep(0.01)
    with pytest.raises(UpstreamError, match="try again"):
        await grammars.wanted('{"const": "more"}')
    tasks[-2].cancel()  # the other who waits for the same still gets it
    gate.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(each, Grammar) for each in found) == module.WAITING
    assert threads == {"guard-schemas"}
    assert await grammars.wanted(schemas[-1]) is found[-1]
    with pytest.raises(RequestError, match="leaves no value"):
        await grammars.wanted('{"enum": []}')


async def test_a_compile_that_does_not_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    grammars, gate = Grammars(WORDS, {END}, size()), threading.Event()
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    monkeypatch.setattr(grammars, "grammar", lambda schema: gate.wait(30))
    with pytest.raises(UpstreamError, match="try again"):
        await grammars.wanted('{"const": 1}')
    gate.set()


# Through the backend


@pytest.mark.parametrize("name", ["llama", "qwen3", "sliding", "hybrid"])
@pytest.mark.parametrize("limit", [80, 400])
async def test_a_random_models_answer_parses_greedily_and_sampled(
    name: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(local(name), monkeypatch) as backend:
        for how in ({"temperature": 0}, {"temperature": 1.5, "seed": 3}, {"temperature": 1, "top_k": 5, "seed": 4}):
            no_thoughts = {"think": False}
            items = await answer(backend, asked(max_tokens=limit, chat_template_kwargs=no_thoughts, **how))
            fits(text(items, "content"))
            assert reasons(items) == ["stop"]


async def test_reasoning_is_free_and_the_answer_behind_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "I see. </think>No, never: " + "x" * 40
    async with running(Script(said), monkeypatch) as backend:
        items = await answer(backend, asked())
    assert text(items, "reasoning") == "I see. "
    fits(text(items, "content"))


async def test_an_unfinished_answer_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = '{"say": "no", "why": "'
    messages = [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": begun}]
    base = asked()
    told = type(base)(body={**base.body, "messages": messages}, prefix={"content": begun})
    async with running(local("llama"), monkeypatch) as backend:
        items = await answer(backend, told)
        assert fits(begun + text(items, "content"))["say"] == "no"
        wrong = type(base)(body={**base.body, "messages": messages}, prefix={"content": "No"})
        with pytest.raises(RequestError, match="does not fit"):
            await answer(backend, wrong)


async def test_an_answer_that_was_cut_is_gone_on_with_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(local("llama"), monkeypatch) as backend:
        turn = backend.begin(asked(chat_template_kwargs={"think": False}))
        await collect(turn)
        kept = '{"say": "yes", "why": "no'
        resume = Resume(
            kept={"content": kept},
            open_channel="content",
            put_in="",
            sent={"content": kept},
            message="",
            max_tokens=200,
        )
        items = await collect(turn, 1, 0, resume)
        await turn.close()
    assert fits(kept + text(items, "content"))["say"] == "yes"


async def test_too_short_a_limit_ends_with_length(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(local("llama"), monkeypatch) as backend:
        items = await answer(backend, asked(max_tokens=5, chat_template_kwargs={"think": False}))
    assert reasons(items) == ["length"]
    assert text(items, "content").startswith("{")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"type": "json_schema"}, "must hold a `schema`"),
        ({"type": "json_schema", "json_schema": {"schema": {}}}, "must hold a `schema`"),
        ({"type": "json_schema", "json_schema": {"schema": "object"}}, "must hold a `schema`"),
        ({"type": "json_schema", "json_schema": {"schema": {"type": "nothing"}}}, "cannot be kept"),
        ({"type": "json_schema", "json_schema": {"schema": {"$ref": "#/gone"}}}, "cannot be kept"),
        ({"type": "json_schema", "json_schema": {"schema": {"type": "string", "maxLength": 10**9}}}, None),
        (
            {"type": "json_schema", "json_schema": {"schema": {"type": "string", "const": "a" * 60_000}}},
            "deeper or longer",
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": {"type": "string", "pattern": "(?=a)b"}}},
            "'pattern' is not kept",
        ),
        ({"type": "json_object"}, "json_schema alone"),
        ({"type": "grammar"}, "json_schema alone"),
    ],
)
async def test_a_format_that_cannot_be_kept_is_a_bad_request(
    told: Any, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(local("llama"), monkeypatch) as backend:
        if said is None:  # a bound that is counted costs nothing, however high
            items = await answer(
                backend, request(response_format=told, max_tokens=40, chat_template_kwargs={"think": False})
            )
            assert isinstance(json.loads(text(items, "content")), str)
            return
        with pytest.raises(RequestError, match=said) as raised:
            await answer(backend, request(response_format=told))
    assert "\n" not in str(raised.value)


async def test_without_its_engine_a_schema_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "outlines_core", None)
    async with running(local("llama"), monkeypatch) as backend:
        with pytest.raises(RequestError, match=r"premise-guard\[local\]"):
            await answer(backend, asked())
