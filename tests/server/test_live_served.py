"""The live feed over a real server: what a watcher is shown of what a client gets."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.server.live import Heard, Live, answer, eventually, policy_file, serving, settings

XSS = '<script>alert(1)</script><img src=x onerror="alert(2)">\' &lt;b&gt;'
FIRST = f"One {XSS} one. BAD two. Three is never said."


def watched(live: Live, act: Callable[[], Any], ends: int = 1) -> list[dict[str, Any]]:
    """All messages up to so many ends, while `act` is done."""
    messages: list[dict[str, Any]] = []
    with live.client.stream("GET", "/guard/api/live") as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        thread = threading.Thread(target=act)
        thread.start()
        for line in response.iter_lines():
            assert line == "" or line.startswith((":", "data: "))
            if line.startswith("data: "):
                messages.append(json.loads(line.removeprefix("data: ")))
            if sum(message["type"] == "end" for message in messages) == ends:
                break
    thread.join(10)
    return messages


def told(messages: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The messages without where they were parted, and without ids and times."""
    out: list[tuple[str, ...]] = []
    for m in messages:
        if m["type"] == "text":
            about = (f"{m['channel']} by {m['origin']}",)
            if out and out[-1][:-1] == about:
                out[-1] = (*about, out[-1][-1] + m["text"])
            else:
                out.append((*about, m["text"]))
        elif m["type"] == "interruption":
            out.append(("interruption", m["channel"], m["correct"], m["claim"], m["put_in"]))
        else:
            out.append((m["type"],))
    return out


def _said(parts: list[str], cut: int = 0) -> Any:
    second = [{"reasoning": " Four."}, {"content": "Five. BAD six."}, {"finish": "stop"}]
    third = [{"content": " Seven."}, {"finish": "stop"}]
    return answer([{"reasoning": part} for part in parts], second, third, cut=cut)


WANTED = [
    ("begin",),
    ("reasoning by model", f"One {XSS} one. BAD two."),
    ("interruption", "reasoning", "interrupt", " BAD two.", " No, that is wrong. It is GOOD."),
    ("reasoning by guard", " No, that is wrong. It is GOOD."),
    ("reasoning by model", " Four."),
    ("content by model", "Five."),
    ("interruption", "content", "retract", " BAD six.", " It is GOOD."),
    ("content by guard", " It is GOOD."),
    ("content by model", " Seven."),
    ("end",),
]


@pytest.mark.parametrize("how", ["whole", "by character", "1", "2", "3"])
def test_however_the_upstream_cuts_it_the_same_is_shown(live: Live, how: str) -> None:
    draw = random.Random(how)
    places = sorted(draw.sample(range(1, len(FIRST)), 12)) if how.isdigit() else []
    parts = [FIRST[a:b] for a, b in zip([0, *places], [*places, len(FIRST)], strict=True)]
    live.say(_said(parts, cut=1 if how == "by character" else 0))
    heard: list[Heard] = []
    messages = watched(live, lambda: heard.append(live.stream()))
    assert told(messages) == WANTED
    texts = "".join(m["text"] for m in messages if m["type"] == "text" and m["channel"] == "reasoning")
    assert texts == heard[0].text("reasoning")


def test_what_a_message_says(live: Live) -> None:
    live.say(_said([FIRST]))
    body = {"messages": [{"role": "user", "content": XSS}]}
    begin, *_, end = messages = watched(live, lambda: live.post(None, **body))
    (first, second) = (m for m in messages if m["type"] == "interruption")
    made = live.interruptions()[-2:]
    assert begin | {"at": 0} == {
        "type": "begin",
        "session": made[0].provenance.session,
        "model": "m",
        "policy": "test",
        "question": XSS,
        "at": 0,
        "texts": True,
    }
    assert [first["id"], second["id"]] == [record.interruption.id for record in made]
    assert first["check"] == "phrase"
    assert first["reason"] == "that is wrong."
    assert first["correction"] == "It is GOOD."
    assert first["late"] is False
    assert end | {"seconds": 0} == {
        "type": "end",
        "session": begin["session"],
        "outcome": "finished",
        "interruptions": 2,
        "seconds": 0,
    }


def test_text_comes_joined(live: Live) -> None:
    live.say(answer([{"content": "x" * 2000}, {"finish": "stop"}], cut=1))
    texts = [m["text"] for m in watched(live, live.stream) if m["type"] == "text"]
    assert "".join(texts) == "x" * 2000
    assert len(texts) < 100


def test_choices_and_tool_calls_are_shown_apart(live: Live) -> None:
    call = {"tool": {"name": "find", "arguments": '{"q": 1}'}}
    live.say(answer([{"content": "One."}, call, {"finish": "tool_calls"}], choices=[[[{"content": "Two."}]]]))
    messages = [m for m in watched(live, lambda: live.post(None, n=2)) if m["type"] == "text"]
    shown = {(m["choice"], m["channel"]): "" for m in messages}
    for m in messages:
        shown[m["choice"], m["channel"]] += m["text"]
    assert shown == {(0, "content"): "One.", (0, "tool_calls"): 'find{"q": 1}', (1, "content"): "Two."}


def test_how_a_response_ends_is_told(live: Live) -> None:
    live.say(answer([{"error": {"status": 503}}]))
    assert watched(live, live.post)[-1]["outcome"] == "failed"
    live.say(answer([{"content": "One. Two"}, {"wait_ms": 30_000}]))

    def leave() -> None:
        with live.client.stream("POST", "/v1/chat/completions", json=_body(stream=True)) as response:
            next(response.iter_bytes())

    assert watched(live, leave)[-1]["outcome"] == "client_left"


def test_one_who_comes_in_the_middle_sees_the_rest(live: Live) -> None:
    live.say(
        answer([{"content": "One. Two."}, {"wait_ms": 700}, {"content": " BAD three. Four."}], [{"content": " 5."}])
    )
    thread = threading.Thread(target=live.stream)
    thread.start()
    eventually(lambda: live.gateway.metrics.running._value.get() == 1)
    messages = watched(live, lambda: None)
    thread.join(10)
    assert messages[0]["type"] == "begin"
    assert ("interruption", "content", "retract", " BAD three.", " It is GOOD.") in told(messages)


@pytest.mark.parametrize("prompts", ["redacted", "none"])
def test_where_texts_may_not_be_kept_none_is_shown(tmp_path: Path, prompts: str) -> None:
    policy = policy_file(tmp_path, "closed", record={"prompts": prompts})
    with serving(settings(tmp_path, policies={"default": policy})) as live:
        live.say(_said(["One ada@example.org. BAD two."]))
        body = {"messages": [{"role": "user", "content": "Who is ada@example.org?"}], "user": "ada"}
        messages = watched(live, lambda: live.post(None, **body))
    assert [m["type"] for m in messages] == ["begin", "interruption", "interruption", "end"]
    assert messages[0]["texts"] is False
    assert messages[0]["question"] == ""
    for m in messages[1:3]:
        assert (m["claim"], m["put_in"], m["reason"], m["correction"]) == ("", "", "", "")
        assert m["check"] == "phrase"
    text = json.dumps(messages)
    assert not any(word in text for word in ("ada", "example", "BAD", "GOOD", "two"))


def test_what_is_off_is_not_shown(live: Live) -> None:
    live.say(_said([FIRST]))

    def both() -> None:
        live.stream(guard={"policy": "off"})
        live.stream()

    messages = watched(live, both)
    assert len({m["session"] for m in messages}) == 1
    assert told(messages) == WANTED


# Watchers


def _body(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "What is it?"}]} | more


@contextmanager
def watchers(live: Live, count: int) -> Iterator[list[socket.socket]]:
    """So many who have asked for the feed and do not read."""
    host, _, port = live.url.removeprefix("http://").partition(":")
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            client = socket.socket()
            opened.append(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((host, int(port)))
            client.sendall(f"GET /guard/api/live HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        eventually(lambda: len(live.gateway.live._watchers) == count)
        yield opened
    finally:
        for client in opened:
            client.close()


def test_fifty_who_leave_leave_nothing_behind(live: Live) -> None:
    live.say(answer([{"content": "One. Two."}, {"wait_ms": 300}, {"content": " Three."}, {"finish": "stop"}]))
    with watchers(live, 50) as clients:
        thread = threading.Thread(target=live.stream)
        thread.start()
        for client in clients[::2]:
            client.close()
        thread.join(10)
        eventually(lambda: len(live.gateway.live._watchers) == 25)
    eventually(lambda: not live.gateway.live.watched)
    hub = live.gateway.live
    eventually(lambda: not hub._running)
    assert live.stream().text() == "One. Two. Three."
    assert (hub._pending, hub._open) == ([], {})


def test_no_response_waits_for_a_watcher_who_does_not_read(live: Live) -> None:
    text = {"content": f"{'x' * 20_000}\n\n"}
    live.say(answer([text] * 40 + [{"finish": "stop"}]))
    with watchers(live, 2):
        assert len(live.stream().text()) == 40 * 20_002
        waiting = [watcher._size for watcher in live.gateway.live._watchers]
        assert len(waiting) == 2
        assert max(waiting) <= 2**20
    eventually(lambda: not live.gateway.live.watched)
