"""The scripted policy model: what a script can say, and how it goes on after a cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.backends import ChatRequest, Item, Usage
from guard.backends.scripted import ScriptedBackend, ScriptedOptions
from guard.core.events import Delta, Finished, Opened, ToolDelta
from guard.core.types import Resume, ToolCall
from guard.errors import ConfigError, RequestError, UpstreamDisconnected, UpstreamError

FINISH = {"finish": "stop"}


def backend(*attempts: list[dict[str, Any]], **answer: Any) -> ScriptedBackend:
    return ScriptedBackend(ScriptedOptions.model_validate({"answers": [{"attempts": list(attempts)} | answer]}))


def ask(text: str = "Well?", n: int = 1) -> ChatRequest:
    return ChatRequest(body={"messages": [{"role": "user", "content": text}]}, n=n)


async def read(turn: Any, *args: Any) -> list[Item]:
    return [item async for batch in turn.attempt(*args) for item in batch]


def text(items: list[Item], choice: int = 0) -> str:
    return "".join(i[1].text for i in items if not isinstance(i, Usage) and i[0] == choice and isinstance(i[1], Delta))


def resumed(kept: str, put_in: str = "", channel: Any = "content", **fields: Any) -> Resume:
    return Resume(kept={channel: kept}, open_channel=channel, put_in=put_in, **fields)


async def test_an_answer_can_wait_for_the_tools_results() -> None:
    later = {"after": "tool", "attempts": [[{"content": "It rains."}, FINISH]]}
    first = {"attempts": [[{"tool": {"name": "weather"}}, {"finish": "tool_calls"}]]}
    played = ScriptedBackend(ScriptedOptions.model_validate({"answers": [later, first]}))
    asked = ask()
    result = {"role": "tool", "tool_call_id": "call_0", "content": "rain"}
    answered = ChatRequest(body={"messages": [*asked.messages, result]}, n=1)
    assert text(await read(played.begin(asked), 0)) == ""
    assert text(await read(played.begin(answered), 0)) == "It rains."


async def test_every_step() -> None:
    tool = {"tool": {"id": "c", "name": "f", "arguments": '{"q": 1}'}}
    steps: list[dict[str, Any]] = [
        {"reasoning": "Hm."},
        {"wait_ms": 1},
        {"content": "Yes"},
        tool,
        {"finish": "tool_calls"},
        {"usage": {"x": 1}},
    ]
    items = await read(backend(steps, cut=2).begin(ask()), 0)
    assert items == [
        (0, Opened(0)),
        (0, Delta(0, "reasoning", "Hm", form="reasoning_content")),
        (0, Delta(0, "reasoning", ".", form="reasoning_content")),
        (0, Delta(0, "content", "Ye", form="content")),
        (0, Delta(0, "content", "s", form="content")),
        (0, ToolDelta(0, 0, "c", "f", '{"q"')),
        (0, ToolDelta(0, 0, arguments=": 1}")),
        (0, Finished(0, "tool_calls")),
        Usage(0, {"x": 1}),
    ]


async def test_an_error_before_the_first_text_is_an_http_error() -> None:
    turn = backend([{"wait_ms": 1}, {"error": {"status": 429, "message": "slow", "body": "{}"}}]).begin(ask())
    with pytest.raises(UpstreamError) as raised:
        await anext(turn.attempt(0))
    assert (raised.value.status, raised.value.body) == (429, b"{}")


async def test_a_disconnect_and_a_late_error() -> None:
    for step, error in (({"disconnect": True}, UpstreamDisconnected), ({"error": {}}, UpstreamError)):
        stream = backend([{"content": "One"}, step]).begin(ask()).attempt(0)
        assert isinstance((await anext(stream))[0], tuple)
        await anext(stream)
        with pytest.raises(error):
            await anext(stream)


async def test_the_first_answer_that_matches_the_last_user_message() -> None:
    options = {
        "answers": [{"when": "^a", "attempts": [[{"content": "A"}]]}, {"when": "b$", "attempts": [[{"content": "B"}]]}]
    }
    made = ScriptedBackend(ScriptedOptions.model_validate(options))
    assert text(await read(made.begin(ask("ab")), 0)) == "A"
    assert text(await read(made.begin(ask("cb")), 0)) == "B"
    with pytest.raises(RequestError, match="no answer to 'x'"):
        made.begin(ask("x"))


async def test_choices_say_their_own() -> None:
    made = backend([{"content": "A"}, FINISH], choices=[[[{"content": "B"}, FINISH]]])
    items = await read(made.begin(ask(n=3)), 0)
    assert [text(items, choice) for choice in range(3)] == ["A", "B", "A"]


async def test_the_recording_goes_on_after_the_claim() -> None:
    turn = backend([{"reasoning": "One. Two. Three."}, {"content": "Yes."}, FINISH]).begin(ask())
    await read(turn, 0)
    assert text(await read(turn, 1, 0, resumed("One. Two. No.", " No.", "reasoning"))) == " Three.Yes."
    assert text(await read(turn, 2, 0, resumed("One. Two. No. Three. No.", " No.", "reasoning"))) == "Yes."


async def test_a_claim_that_was_taken_out_is_passed_over() -> None:
    turn = backend([{"content": "One. Two. Three. Four."}, FINISH]).begin(ask())
    await read(turn, 0)
    assert text(await read(turn, 1, 0, resumed("One. Right.", " Right.", retracted=" Two."))) == " Three. Four."
    again = resumed("One. Right. Three. Right.", " Right.", retracted="")
    assert text(await read(turn, 2, 0, again)) == " Four."


async def test_a_continuation_of_its_own_goes_on_where_it_was_cut() -> None:
    turn = backend(
        [{"reasoning": "One. Two."}, {"content": "Old."}, FINISH],
        [{"reasoning": " New. Wrong. Rest."}, {"content": "A. B. C."}, FINISH],
    ).begin(ask())
    await read(turn, 0)
    assert text(await read(turn, 1, 0, resumed("One. No.", " No.", "reasoning"))) == " New. Wrong. Rest.A. B. C."
    kept = "One. No. New. Wrong. No."
    assert text(await read(turn, 2, 0, resumed(kept, " No.", "reasoning"))) == " Rest.A. B. C."
    assert text(await read(turn, 3, 0, resumed("A. Right.", " Right.", retracted=" B."))) == " C."


async def test_answered_calls_leave_only_the_finish() -> None:
    turn = backend([{"tool": {"name": "f"}}, {"finish": "tool_calls"}]).begin(ask())
    await read(turn, 0)
    call = ToolCall(index=0, id="c", name="f", arguments="{}")
    items = await read(turn, 1, 0, resumed("", calls=((call, "Not run."),)))
    assert items == [(0, Opened(1, "tool_answers")), (0, Finished(1, "tool_calls"))]


async def test_open_turns_are_counted() -> None:
    made = backend([FINISH])
    turns = [made.begin(ask()) for _ in range(2)]
    assert made.open_turns == 2
    for _ in range(2):
        await turns[0].close()
    assert made.open_turns == 1


@pytest.mark.parametrize("kind", ["yaml", "json"])
async def test_a_script_is_read_from_a_file(tmp_path: Path, kind: str) -> None:
    script = {"answers": [{"attempts": [[{"content": "Hello."}]]}]}
    path = tmp_path / f"script.{kind}"
    path.write_text(json.dumps(script) if kind == "json" else yaml.safe_dump(script))
    made = ScriptedBackend(ScriptedOptions(script=path))
    await made.start()
    assert text(await read(made.begin(ask()), 0)) == "Hello."
    await made.close()


@pytest.mark.parametrize(
    "content", [None, "", "answers: []", "answers: [{attempts: [[{contnet: x}]]}]", "a: [", "\x00"]
)
async def test_a_script_that_cannot_be_used_is_one_line(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "script.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as raised:
        await ScriptedBackend(ScriptedOptions(script=path)).start()
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


async def test_no_script_at_all() -> None:
    with pytest.raises(ConfigError, match="needs `script: FILE` or `answers`"):
        await ScriptedBackend(ScriptedOptions()).start()


async def test_ready_and_counting() -> None:
    made = backend([FINISH])
    assert await made.ready() == {"ok": True, "continuation": "text_exact"}
    assert [made.count(t) for t in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]
