"""What the server's log says, and what it never does: keys, and lines that somebody else ended."""

from __future__ import annotations

import io
import json
import logging
import random
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from guard import logs
from guard.errors import ConfigError
from tests.server.live import QUESTION, answer, policy_file, settings

FORMS = (logs.JsonLines(), logs.TextLines())
LETTERS = string.ascii_letters + string.digits
KEYS: tuple[Callable[[str], str], ...] = (
    lambda s: f"sk-{s}",
    lambda s: f"sk-proj-{s}",
    lambda s: f"gsk_{s}",
    lambda s: f"hf_{s}",
    lambda s: f"AIza{s}",
    lambda s: f"eyJ{s}.{s}.{s}",
    lambda s: s,
)
PLACES: tuple[Callable[[str], str], ...] = (
    lambda k: f"Authorization: Bearer {k}",
    lambda k: f"{{'authorization': 'Bearer {k}', 'accept': '*/*'}}",
    lambda k: f'{{"Authorization":"Basic {k}"}}',
    lambda k: f"(b'authorization', b'{k}')",
    lambda k: f'Authorization: Digest username="ada", response="{k}"',
    lambda k: f"x-api-key: {k}",
    lambda k: f"headers X-Guard-Admin-Key={k}; gone",
    lambda k: f"GET https://models.test/v1/chat?alt=sse&key={k}#frag",
    lambda k: f"https://models.test/v1?access_token={k}",
    lambda k: f"https://models.test/v1?sig={k}&x=1",
    lambda k: f"postgresql://guard:{k}@db.test/guard",
    lambda k: f"postgresql://guard:a/{k}@db.test/guard",
    lambda k: f"https://{k}@traces.test/1",
    lambda k: f'OPENAI_API_KEY="{k}"',
    lambda k: f"api_key={k}, model='m'",
    lambda k: f"client_secret: {k}",
    lambda k: f"password = {k}",
    lambda k: f"Set-Cookie: session={k}; Path=/",
    lambda k: f"sent bearer {k}",
)
HOSTILE = (
    "",
    "\n2026-11-21T00:00:00.000Z INFO guard all is well ",
    "\r\x1b[2K\x1b[1A",
    "\x00\x07\x7f\x9b31m",
    "\u2028\u2029\x85\x0b\x0c",
    "\u202egnp.exe\u200b\ufeff",
    "\ud800 %s %d {} ",
    '", "level": "info", "x": "',
)


def record(message: Any, *args: Any, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("guard", logging.ERROR, __file__, 1, message, args, more.pop("exc_info", None))
    vars(made).update(more)
    return made


def raised(message: str) -> Any:
    try:
        raise ValueError(message)
    except ValueError:
        return sys.exc_info()


def test_ten_thousand_hostile_lines_tell_no_key_and_end_no_line() -> None:
    rng = random.Random(5)
    for _ in range(10_000):
        secret = "".join(rng.choices(LETTERS, k=rng.randint(24, 60)))
        told = rng.choice(PLACES)(rng.choice(KEYS)(secret))
        before, after = rng.choice(HOSTILE), rng.choice(HOSTILE)
        message = f"{before}{told}{after}"
        way = rng.randrange(4)
        if way == 0:
            made = record(message)
        elif way == 1:
            made = record("upstream said %s (%d)", message, 500)
        elif way == 2:
            made = record("response", fields={"id": "x", "error": message})
        else:
            made = record("it broke", exc_info=raised(message))
        for form in FORMS:
            line = form.format(made)
            assert secret not in line, (told, line)
            assert all(part.isprintable() for part in line.split("\n  | ")), line
        json.loads(FORMS[0].format(made))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", KEYS)
def test_every_key_in_every_place(place: Callable[[str], str], key: Callable[[str], str]) -> None:
    secret = "Zq9" * 12
    assert secret not in logs.scrubbed(place(key(secret)))
    assert logs.HIDDEN in logs.scrubbed(place(key(secret)))


def test_what_is_no_key_stays() -> None:
    for text in (
        "guard serves m on http://127.0.0.1:8900/v1",
        "interruption chatcmpl-6d7927768feb4f4e96a64edeb96feaee.0.1 could not be recorded: no disk",
        "http://localhost:8000/v1: 503 upstream connect error, 12 tokens, max_tokens=20",
        "old records could not be deleted: (sqlite3.OperationalError) database is locked",
    ):
        assert logs.scrubbed(text) == text


@given(st.text(st.characters()), st.text(st.characters()))
def test_a_line_is_one_line(message: str, value: str) -> None:
    made = record(message.replace("%", "%%") if message else "x", fields={"value": value, "none": None, "n": 2})
    line, text = (form.format(made) for form in FORMS)
    told = json.loads(line)
    assert line.isascii()
    assert line.isprintable()
    assert text.isprintable()
    assert set(told) == {"time", "level", "logger", "message", "value", "n"}
    assert (told["level"], told["n"]) == ("error", 2)


def test_a_message_that_cannot_be_put_together_is_told_as_it_stands() -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("sk-" + "a" * 30)

    for made in (record("%d things", "three"), record("%s", Broken())):
        assert json.loads(FORMS[0].format(made))["message"] == made.msg
    assert json.loads(FORMS[0].format(record(Broken())))["message"] == "Broken"


def test_fields_replace_nothing_and_long_ones_are_cut() -> None:
    told = json.loads(FORMS[0].format(record("a" * 10**6, fields={"level": "info", "long": "b" * 10**6})))
    assert told["level"] == "error"
    assert (len(told["message"]), len(told["long"])) == (logs.LONGEST, logs.LONGEST)


def test_a_long_traceback_keeps_its_end() -> None:
    made = record("it broke", exc_info=raised("x" * 10_000 + " the end"))
    assert json.loads(FORMS[0].format(made))["exception"].endswith(" the end")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    handlers, level, raising = logger.handlers[:], logger.level, logging.raiseExceptions
    yield logger
    logger.handlers[:], logging.raiseExceptions = handlers, raising
    logger.setLevel(level)
    logging.captureWarnings(False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        (None, Terminal(), False),
        (None, io.StringIO(), True),
        ("json", Terminal(), True),
        ("text", io.StringIO(), False),
    ],
)
def test_people_get_text_and_machines_json(
    root: logging.Logger, form: str | None, stream: io.StringIO, is_json: bool
) -> None:
    root.handlers.clear()  # pytest's own are there by now
    logs.configure(form, stream)
    logging.getLogger("guard").info("response", extra={"fields": {"id": "a b", "seconds": 0.25}})
    said = stream.getvalue()
    assert said.startswith("{") is is_json
    assert is_json or said.endswith('Z INFO guard response id="a b" seconds=0.25\n')


def test_a_form_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(ConfigError, match="--log-format 'xml' is none; choose json or text"):
        logs.configure("xml", io.StringIO())


# The command


def test_guard_serve_writes_one_line_a_response(tmp_path: Path) -> None:
    wrong = answer([{"reasoning": "One. BAD two. Three."}, {"content": "Yes."}, {"finish": "stop"}], cut=2)
    config = settings(tmp_path, [wrong]).model_dump(mode="json", include={"models", "store", "policies"})
    config["policies"]["default"] = policy_file(tmp_path)
    (tmp_path / "guard.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, "-m", "guard", "serve", "--port", "0", "--config", str(tmp_path / "guard.yaml")]
    with (tmp_path / "err").open("w") as errors:
        running = subprocess.Popen([*command, "--log-format", "json"], stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert running.stdout is not None
            url = running.stdout.readline().split()[-1].removesuffix("/v1")
            headers = {"x-request-id": "order-66", "authorization": "Bearer sk-" + "a" * 40}
            body: dict[str, Any] = {"model": "m", "messages": QUESTION, "stream": True}
            with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
                good = client.post("/v1/chat/completions", json=body)
                bad = client.post("/v1/chat/completions", json=body | {"guard": {"policy": "nope"}})
                forged = client.post("/v1/chat/completions", json=body, headers={"x-request-id": "a b; evil=1"})
            assert (good.headers["x-request-id"], bad.headers["x-request-id"]) == ("order-66", "order-66")
            assert (bad.status_code, forged.headers["x-request-id"]) == (400, "scripted")
        finally:
            running.terminate()
            running.communicate(timeout=10)
    lines = [json.loads(line) for line in (tmp_path / "err").read_text().splitlines()]
    told = [line for line in lines if line["message"] == "response"]
    assert [line.get("request_id") for line in told] == ["order-66", None]
    assert told[0]["id"].startswith("chatcmpl-")
    known = {name: told[0][name] for name in ("level", "model", "policy", "route", "status", "interruptions")}
    assert known == {
        "level": "info", "model": "m", "policy": "test", "route": "chat", "status": "200", "interruptions": 1,
    }  # fmt: skip
    assert 0 < told[0]["ttft"] <= told[0]["seconds"]
    assert told[0]["tokens"] > 0
    assert "sk-aaa" not in (tmp_path / "err").read_text()
