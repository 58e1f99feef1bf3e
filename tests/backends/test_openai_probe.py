"""Which servers go on with a prefilled message, found out by trying; and turns that are cut and go on there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from guard.backends import ChatRequest
from guard.backends.openai import OpenAIOptions, prober
from guard.core.events import Delta, Opened
from guard.core.types import Resume, ToolCall
from tests.backends.test_openai_learned import timed
from tests.backends.test_openai_server import backend, collect, text
from tests.backends.upstreams import (
    ANSWER,
    THOUGHT,
    Upstream,
    anthropic,
    deepseek,
    liar,
    llama,
    mistral,
    moonshot,
    ollama,
    openai,
    running,
    sglang,
    vllm,
)

ASKED = [{"role": "user", "content": "Why?"}]
NO = " No, it is B."


def by_character(text: str) -> Iterator[str]:
    return iter(text)


def at_random(text: str) -> Iterator[str]:
    dice = random.Random(len(text))
    while text:
        size = dice.randint(1, 9)
        yield text[:size]
        text = text[size:]


CUTS: tuple[Callable[[str], Iterator[str]], ...] = (lambda text: iter([text]), by_character, at_random)


def ask(**body: Any) -> ChatRequest:
    return ChatRequest(body={"model": "m", "messages": ASKED} | body)


def cut(channel: Any, before: str = "", **more: Any) -> Resume:
    kept = {"reasoning": "It was A." + NO} if channel == "reasoning" else {"content": "The answer is A." + NO}
    kept |= {"reasoning": before} if before else {}
    fields: dict[str, Any] = {"kept": kept, "put_in": NO, "sent": kept, "message": "No, it is B. Go on."} | more
    return Resume(open_channel=channel, **fields)


async def abilities(upstream: Upstream, **options: Any) -> dict[str, Any]:
    """The dialect of each channel, or None."""
    async with running(upstream):
        made = await backend(upstream.url, **options)
        found = {c: (await made._prober.ability(c, "m", {})).dialect for c in ("content", "reasoning")}
        await made.close()
    return found


SPEAKING: dict[str, tuple[Upstream, str | None, str | None]] = {
    "vllm": (Upstream(vllm, form="reasoning"), "continue_final_message", "think_tag"),
    "sglang": (Upstream(sglang), "continue_final_message", "think_tag"),
    "llama": (Upstream(llama), "continue_final_message", "continue_final_message"),
    "deepseek": (Upstream(deepseek), "prefix", "prefix"),
    "mistral": (Upstream(mistral, form="typed"), "prefix", "prefix_typed"),
    "moonshot": (Upstream(moonshot), "partial", None),
    "ollama": (Upstream(ollama, form="reasoning"), "continue_final_message", "trailing"),
    "openai": (Upstream(openai, thinks=False), None, None),
    "anthropic": (Upstream(anthropic), None, None),
    "liar": (Upstream(liar), None, None),
    "a liar that does not think": (Upstream(liar, thinks=False), None, None),
}


@pytest.mark.parametrize("obedient", [True, False])
@pytest.mark.parametrize("name", SPEAKING)
async def test_what_is_found_out_is_what_the_server_can(name: str, obedient: bool) -> None:
    upstream, content, reasoning = SPEAKING[name]
    upstream.obedient = obedient
    assert await abilities(upstream) == {"content": content, "reasoning": reasoning}
    assert all(len(body["messages"]) <= 2 for body in upstream.seen)


@pytest.mark.parametrize("forced", [True, False])
async def test_a_template_that_opens_thinking_itself(forced: bool) -> None:
    for obedient in (True, False):
        upstream = Upstream(llama, forced=forced, obedient=obedient)
        assert set((await abilities(upstream)).values()) == {"continue_final_message"}
        assert set((await abilities(Upstream(liar, forced=forced, obedient=obedient))).values()) == {None}


async def test_an_empty_thinking_block_is_told_from_a_new_message_by_words_alone() -> None:
    found = await abilities(Upstream(llama, empty=True))
    assert found["content"] == "continue_final_message"
    found = await abilities(Upstream(llama, empty=True, obedient=False))
    assert found == {"content": None, "reasoning": "continue_final_message"}


@pytest.mark.parametrize("usage", [True, False])
async def test_a_server_that_shows_its_prompt_is_believed_about_it(usage: bool) -> None:
    found = await abilities(Upstream(llama, empty=True, obedient=False, shows=True, usage=usage))
    assert set(found.values()) == {"continue_final_message"}
    assert set((await abilities(Upstream(liar, obedient=False, shows=True, usage=usage))).values()) == {None}


async def test_without_counts_and_without_obedience_nothing_is_supported() -> None:
    for reading in (llama, liar):
        found = await abilities(Upstream(reading, usage=False, obedient=False))
        assert found == {"content": None, "reasoning": None}


async def test_tags_in_the_content_are_reasoning_only_for_turns_that_came_so() -> None:
    async with running(Upstream(vllm, form="content")) as upstream:
        made = await backend(upstream.url)
        found = await made._prober.ability("reasoning", "m", {})
        assert (found.dialect, found.inline) == ("think_tag", True)
        turn = made.begin(ask())
        turn._forms[0] = "inline"
        events = await collect(turn.attempt(1, 0, cut("reasoning")))
        assert events[0] == Opened(1, "field_prefill")
        events = await collect(made.begin(ask()).attempt(1, 0, cut("reasoning")))
        assert events[0] == Opened(1, "reask")
        await made.close()


@pytest.mark.parametrize("pieces", CUTS)
@pytest.mark.parametrize("name", [name for name, (_, content, _) in SPEAKING.items() if content])
async def test_a_cut_answer_goes_on_in_place(name: str, pieces: Any) -> None:
    speaking, dialect, _ = SPEAKING[name]
    upstream = Upstream(speaking.reading, form=speaking.form, cut=pieces)
    async with running(upstream):
        made = await backend(upstream.url)
        events = await collect(made.begin(ask()).attempt(1, 0, cut("content")))
        assert events[0] == Opened(1, "field_prefill")
        assert text(events) == " And so on."
        assert upstream.asked[0]["messages"][-1]["content"] == "The answer is A. No, it is B."
        ready = (await made.ready())["continuation"]
        assert ready == {"content": "field_prefill", "reasoning": "unprobed", "probed": True}
        await made.close()
    assert dialect is not None


@pytest.mark.parametrize("pieces", CUTS)
@pytest.mark.parametrize("name", [name for name, (_, _, reasoning) in SPEAKING.items() if reasoning])
async def test_cut_reasoning_goes_on_in_place(name: str, pieces: Any) -> None:
    speaking, _, _ = SPEAKING[name]
    upstream = Upstream(speaking.reading, form=speaking.form, cut=pieces)
    async with running(upstream):
        made = await backend(upstream.url)
        turn = made.begin(ask())
        await collect(turn.attempt(0))
        events = await collect(turn.attempt(1, 0, cut("reasoning")))
        await made.close()
    assert events[0] == Opened(1, "field_prefill")
    thought = [event for event in events if isinstance(event, Delta) and event.channel == "reasoning"]
    assert "".join(event.text for event in thought) == " So B."
    assert text(events) == " So B.B it is."
    assert {event.form for event in thought} == {speaking.form}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vllm", {"content": "The answer is A. No, it is B.", "reasoning": "Hm."}),
        ("llama", {"content": "The answer is A. No, it is B.", "reasoning_content": "Hm."}),
        ("deepseek", {"content": "The answer is A. No, it is B.", "prefix": True, "reasoning_content": "Hm."}),
        (
            "mistral",
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "closed": True},
                    {"type": "text", "text": "The answer is A. No, it is B."},
                ],
                "prefix": True,
            },
        ),
    ],
)
async def test_closed_reasoning_goes_along_in_the_upstreams_own_field(name: str, message: Any) -> None:
    speaking, _, _ = SPEAKING[name]
    async with running(Upstream(speaking.reading, form=speaking.form)) as upstream:
        made = await backend(upstream.url)
        turn = made.begin(ask())
        await collect(turn.attempt(0))
        await collect(turn.attempt(1, 0, cut("content", before="Hm.")))
        await made.close()
    assert upstream.asked[-1]["messages"][-1] == {"role": "assistant"} | message


@pytest.mark.parametrize("name", ["openai", "anthropic", "liar"])
async def test_a_server_that_begins_anew_is_asked_again(name: str) -> None:
    async with running(Upstream(SPEAKING[name][0].reading)) as upstream:
        made = await backend(upstream.url)
        events = await collect(made.begin(ask()).attempt(1, 0, cut("content")))
        assert events[0] == Opened(1, "reask")
        trials = len(upstream.trials)
        await collect(made.begin(ask()).attempt(1, 0, cut("content")))
        assert len(upstream.trials) == trials > 0
        assert (await made.ready())["continuation"]["content"] == "reask"
        await made.close()


async def test_the_request_keeps_its_tools_and_loses_no_field() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    async with running(Upstream(llama)) as upstream:
        made = await backend(upstream.url)
        request = ask(tools=tools, top_k=3, seed=4, max_tokens=90, response_format={"type": "text"})
        await collect(made.begin(request).attempt(1, 1, cut("content", max_tokens=40)))
        await made.close()
    body = upstream.asked[0]
    assert {name: body[name] for name in ("tools", "top_k", "seed", "max_tokens")} == {
        "tools": tools,
        "top_k": 3,
        "seed": 5,
        "max_tokens": 40,
    }
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


@pytest.mark.parametrize(
    ("request_", "resume"),
    [
        (ask(response_format={"type": "json_object"}), cut("reasoning")),
        (ask(guided_json={"type": "object"}), cut("content")),
        (ask(), cut("content", restart=True)),
        (ask(), cut("content", kept={"content": " "}, put_in=" ")),
    ],
)
async def test_what_a_prefilled_message_would_lose_is_asked_for_again(request_: ChatRequest, resume: Resume) -> None:
    async with running(Upstream(llama)) as upstream:
        made = await backend(upstream.url)
        assert (await collect(made.begin(request_).attempt(1, 0, resume)))[0] == Opened(1, "reask")
        assert not upstream.trials
        await made.close()


async def test_text_behind_answered_calls_goes_on_behind_them() -> None:
    calls = ((ToolCall(index=0, id="c0", name="f", arguments="{}"), "Not run."),)
    resume = cut("content", kept={"content": "Look: Then this." + NO}, calls=calls, calls_at=5)
    async with running(Upstream(llama)) as upstream:
        made = await backend(upstream.url)
        events = await collect(made.begin(ask()).attempt(2, 0, resume))
        await made.close()
    assert events[0] == Opened(2, "field_prefill")
    assert [(m["role"], m["content"]) for m in upstream.asked[0]["messages"]] == [
        ("user", "Why?"),
        ("assistant", "Look:"),
        ("tool", "Not run."),
        ("assistant", " Then this. No, it is B."),
    ]


async def test_a_clients_unfinished_turn_is_extended_and_its_flags_replaced() -> None:
    messages = [*ASKED, {"role": "assistant", "content": "Well: ", "prefix": True}]
    body = {"model": "m", "messages": messages, "continue_final_message": "content", "add_generation_prompt": False}
    body["echo"] = True
    request = ChatRequest(body=body, prefix={"content": "Well: "})
    async with running(Upstream(llama)) as upstream:
        made = await backend(upstream.url)
        await collect(made.begin(request).attempt(1, 0, cut("content", kept={"content": "A." + NO})))
        await made.close()
    assert upstream.asked[0]["messages"][1:] == [{"role": "assistant", "content": "Well: A. No, it is B."}]
    assert upstream.asked[0]["continue_final_message"] is True
    assert "echo" not in upstream.asked[0]


@pytest.mark.parametrize("pieces", CUTS)
async def test_white_space_at_the_end_is_not_sent_and_not_written_twice(pieces: Any) -> None:
    """The original writes the space before its next word; the client has it already."""
    async with running(Upstream(llama, cut=pieces)) as upstream:
        made = await backend(upstream.url)
        for end, rest in ((" ", "And so on."), ("\n", " And so on."), (" \n", "And so on.")):
            resume = cut("content", kept={"content": "A." + end}, put_in=end)
            assert text(await collect(made.begin(ask()).attempt(1, 0, resume))) == rest
        await made.close()
    assert {body["messages"][-1]["content"] for body in upstream.asked} == {"A."}


@pytest.mark.parametrize("pieces", CUTS)
@pytest.mark.parametrize("channel", ["content", "reasoning"])
async def test_a_server_that_begins_anew_later_is_asked_again_at_once_and_after_the_second_time_not_believed(
    channel: Any, pieces: Any
) -> None:
    whole = {"reasoning": THOUGHT, "content": ANSWER}[channel]
    resume = cut(channel, kept={channel: whole[:25] + NO})
    async with running(Upstream(llama, cut=pieces, believes=1, thinks=channel == "reasoning")) as upstream:
        made = await backend(upstream.url)
        first = await collect(made.begin(ask()).attempt(1, 0, resume))
        then = [await collect(made.begin(ask()).attempt(1, 0, resume)) for _ in range(3)]
        told = (await made.ready())["continuation"][channel]
        await made.close()
    assert first[0] == Opened(1, "field_prefill")
    for events in then:
        assert [e for e in events if isinstance(e, Opened)] == [Opened(1, "reask")]
        assert text(events).count(whole) == 1
    assert told == "reask"
    assert ["continue_final_message" in body for body in upstream.asked] == [True, True, False, True, False, False]


async def test_reasoning_where_content_was_to_go_on_is_a_new_message() -> None:
    async with running(Upstream(liar)) as upstream:
        made = await backend(upstream.url, prefill="trailing")
        events = await collect(made.begin(ask()).attempt(1, 0, cut("content")))
        assert events[0] == Opened(1, "reask")
        assert len(upstream.asked) == 2
        assert not upstream.trials
        await made.close()


async def test_a_named_dialect_is_taken_at_its_word_until_it_is_refused_twice() -> None:
    async with running(Upstream(mistral, form="typed")) as upstream:
        made = await backend(upstream.url, prefill="prefix_typed")
        assert (await collect(made.begin(ask()).attempt(1, 0, cut("content"))))[0] == Opened(1, "field_prefill")
        await made.close()
        made = await backend(upstream.url, prefill="trailing", continuation="field_prefill")
        for _ in range(3):
            assert (await collect(made.begin(ask()).attempt(1, 0, cut("content"))))[0] == Opened(1, "reask")
        await made.close()
        partial = await backend(upstream.url, prefill="partial")
        assert (await collect(partial.begin(ask()).attempt(1, 0, cut("reasoning"))))[0] == Opened(1, "reask")
        await partial.close()
    shapes = [body["messages"][-1]["role"] for body in upstream.asked if "stream_options" not in body]
    assert shapes == ["assistant", "assistant", "user", "assistant", "user", "user", "user"]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_failure_is_no_verdict_and_is_not_tried_again_at_once(status: int) -> None:
    async with running(Upstream(llama, status=status)) as upstream:
        made, clock = await timed(upstream.url)
        found = [await made._prober.ability("content", "m", {}) for _ in range(3)]
        assert len(upstream.trials) == 1
        assert {ability.dialect for ability in found} == {None}
        assert found[0].why.startswith("unknown: ")
        assert (await made.ready())["continuation"]["probed"] is False
        upstream.status = 200
        clock.time += prober.RETRY_S
        assert (await made._prober.ability("content", "m", {})).dialect == "continue_final_message"
        await made.close()


async def test_one_examination_at_a_time_with_the_headers_of_the_request() -> None:
    async with running(Upstream(liar)) as upstream:
        made = await backend(upstream.url)
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(made._prober.ability("content", "m", {}))
        bare = [body for body in upstream.trials if len(body["messages"]) == 1]
        assert len(bare) == 1
        assert all(body["max_tokens"] <= 24 and body["stream"] for body in upstream.trials)
        await made._prober.ability("content", "another", {})
        assert {body["model"] for body in upstream.trials} == {"m", "another"}
        await made.close()


def test_contradictions_are_named() -> None:
    for options, told in (
        ({"continuation": "token_exact"}, "needs a tokenizer"),
        ({"continuation": "reask", "prefill": "partial"}, "never used"),
        ({"token_route": "input_ids"}, "only used under"),
        ({"prefill": "assistant"}, "prefill"),
    ):
        with pytest.raises(ValueError, match=told):
            OpenAIOptions.model_validate({"base_url": "http://h/v1"} | options)
