"""A stream in which nothing may be sent yet is not silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from guard.server.wire import KEEP_ALIVE
from tests.server.live import Heard, answer, policy_file, serving, settings

HELD: list[dict[str, Any]] = [
    {"content": "Half a"},
    {"wait_ms": 400},
    {"content": " sentence. And"},
    {"wait_ms": 400},
    {"finish": "stop"},
]


def test_comments_are_sent_while_text_is_held(tmp_path: Path) -> None:
    with serving(settings(tmp_path, [answer(HELD)], server={"keep_alive_s": 0.05})) as live:
        raw = live.post(stream=True).content
        comments = raw.count(KEEP_ALIVE)
        assert 4 <= comments <= 40
        assert raw.index(KEEP_ALIVE) < raw.index(b"Half a")  # held, and the head was sent all the same
        heard = Heard(raw)
        assert (heard.text(), heard.reason) == ("Half a sentence. And", "stop")


def test_before_the_upstream_answers_the_status_stays_open(tmp_path: Path) -> None:
    said = answer([{"wait_ms": 300}, {"error": {"status": 503, "message": "down"}}])
    with serving(settings(tmp_path, [said], server={"keep_alive_s": 0.05})) as live:
        response = live.post(stream=True)
        assert response.status_code == 503
        assert KEEP_ALIVE not in response.content


def test_an_error_behind_comments_is_a_frame(tmp_path: Path) -> None:
    said = answer([{"content": "Half a"}, {"wait_ms": 300}, {"error": {"status": 503, "message": "down"}}])
    default = policy_file(tmp_path, "stopping", on_unscanned="stop")
    made = settings(tmp_path, [said], server={"keep_alive_s": 0.05}, policies={"default": default, "allowed": []})
    with serving(made) as live:
        heard = Heard(live.post(stream=True).content)
    assert [error["code"] for error in heard.errors] == ["503"]


def test_a_stream_that_flows_has_none_and_an_answer_that_is_whole_neither(tmp_path: Path) -> None:
    flowing = [step for i in range(20) for step in ({"reasoning": f"Word {i} "}, {"wait_ms": 20})]
    with serving(settings(tmp_path, [answer([*flowing, {"finish": "stop"}])], server={"keep_alive_s": 0.3})) as live:
        assert KEEP_ALIVE not in live.post(stream=True).content
        assert KEEP_ALIVE not in live.post().content
