"""`guard interruptions`: what a list and a record show, and a review of several at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from guard.cli import app
from guard.core.records import InterruptionRecord
from guard.core.types import Evidence, Token
from guard.errors import ConfigError
from guard.store import Store
from tests.exporters.records import record

TOKEN = Token(id=5, text=" It", logprob=-0.5, top=((5, -0.5), (7, -2.0)))


def stored(name: str, **changes: Any) -> InterruptionRecord:
    return record(id=f"{name}.0.1", session=name, **changes)


async def _fill(store: Store, records: list[InterruptionRecord]) -> None:
    await store.open()
    for each in records:
        await store.add_interruption(each)
    await store.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A log of three interruptions, oldest first: `a` confirmed, `b` and `c` not looked at."""
    where = f"sqlite:///{tmp_path}/guard.db"
    long = Evidence(question="Which city\n is \x1b[31mthe capital? " + "x" * 400)
    tokens: dict[str, Any] = {"followed_tokens": ((0, TOKEN), (3, TOKEN)), "answer_tokens": ((0, TOKEN),)}
    records = [
        stored("a", at=1.0, review="confirmed", evidence=Evidence(question="Capital?")),
        stored("b", at=2.0, evidence=long),
        stored("c", at=3.0, **tokens),
    ]
    asyncio.run(_fill(Store(where), records))
    return where


def call(url: str, *words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["interruptions", *words, "--store", url], input=typed)


def listed(url: str, *words: str) -> list[dict[str, Any]]:
    return json.loads(call(url, "list", "--json", *words).stdout)  # type: ignore[no-any-return]


def reviews(url: str) -> dict[str, str]:
    return {each["id"][0]: each["review"] for each in listed(url)}


def test_json_has_the_review_and_the_whole_question(url: str) -> None:
    newest, middle, oldest = listed(url)
    assert (newest["id"], newest["review"], newest["question"]) == ("c.0.1", "unreviewed", "")
    assert middle["question"].endswith("x" * 400)
    assert (oldest["review"], oldest["question"]) == ("confirmed", "Capital?")


def test_a_table_has_the_question_on_one_line_and_not_all_of_it(url: str) -> None:
    lines = call(url, "list").stdout.splitlines()
    asked = [line for line in lines if line.startswith("    asked: ")]
    assert len(lines) == 8
    assert asked[1] == "    asked: Capital?"
    shown = asked[0].removeprefix("    asked: ")
    assert shown.startswith("Which city is \ufffd[31mthe capital? x")
    assert (len(shown), shown[-2:]) == (200, "x…")


def test_only_what_nobody_has_reviewed_is_listed(url: str) -> None:
    assert [each["id"] for each in listed(url, "--unreviewed")] == ["c.0.1", "b.0.1"]
    assert [each["id"] for each in listed(url, "--unreviewed", "--limit", "1")] == ["c.0.1"]
    call(url, "review", "b.0.1", "c.0.1", "rejected")
    assert call(url, "list", "--unreviewed").stdout == "No interruption on record is like that.\n"


@pytest.mark.parametrize("keys", [("b.0.1",), ("b",), ("b.0.1", "b")])
def test_one_is_reviewed_by_its_id_or_its_sessions(url: str, keys: tuple[str, ...]) -> None:
    assert "b.0.1: rejected\n" in call(url, "review", *keys, "rejected").stdout
    assert reviews(url) == {"a": "confirmed", "b": "rejected", "c": "unreviewed"}


@pytest.mark.parametrize(("keys", "typed"), [(("b", "c"), None), (("-",), "b.0.1\nc.0.1\n"), (("b", "-"), " c ")])
def test_several_are_reviewed_at_once(url: str, keys: tuple[str, ...], typed: str | None) -> None:
    assert call(url, "review", *keys, "confirmed", typed=typed).stdout == "b.0.1: confirmed\nc.0.1: confirmed\n"
    assert set(reviews(url).values()) == {"confirmed"}


def test_an_unknown_id_keeps_no_other_from_being_written(url: str) -> None:
    done = call(url, "review", "no", "b", "nor", "c", "confirmed")
    assert isinstance(done.exception, ConfigError)
    assert "no interruption 'no', 'nor' in" in str(done.exception)
    assert set(reviews(url).values()) == {"confirmed"}


@pytest.mark.parametrize(
    ("words", "typed", "message"),
    [(("b", "c"), None, "'c' is no review"), (("-", "confirmed"), " \n", "no ids on standard input")],
)
def test_a_review_without_a_verdict_or_an_id_writes_nothing(
    url: str, words: tuple[str, ...], typed: str | None, message: str
) -> None:
    done = call(url, "review", *words, typed=typed)
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)
    assert reviews(url) == {"a": "confirmed", "b": "unreviewed", "c": "unreviewed"}


def test_tokens_are_shown_where_they_are_asked_for(url: str) -> None:
    short, whole = call(url, "show", "c"), call(url, "show", "c", "--tokens")
    assert short.stderr == "tokens left out: 3, with their alternatives; --tokens prints them\n"
    assert whole.stderr == ""
    told = json.loads(whole.stdout)
    taken = [told["closing"].pop("followed_tokens"), told["closing"].pop("answer_tokens")]
    assert [len(each) for each in taken] == [2, 1]
    assert taken[0][0][1]["top"] == [[5, -0.5], [7, -2.0]]
    assert told["interruption"]["claim"].pop("tokens") == []
    assert json.loads(short.stdout) == told


def test_an_open_interruption_and_one_without_tokens_are_shown(url: str) -> None:
    asyncio.run(_fill(Store(url), [stored("d", closing=None)]))
    for key in ("a", "d"):
        done = call(url, "show", key)
        assert (json.loads(done.stdout)["interruption"]["id"], done.stderr) == (f"{key}.0.1", "")


def test_the_claims_tokens_are_left_out_too(url: str) -> None:
    asyncio.run(_fill(Store(url), [stored("e", tokens=(TOKEN,))]))
    done = call(url, "show", "e")
    assert "tokens" not in json.loads(done.stdout)["interruption"]["claim"]
    assert done.stderr.startswith("tokens left out: 1,")


@pytest.mark.parametrize("module", ["guard", "guard.cli"])
def test_the_command_line_is_a_module_too(module: str, url: str) -> None:
    words = [sys.executable, "-m", module, "interruptions", "review", "no", "b", "confirmed", "--store", url]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "b.0.1: confirmed\n")
    assert done.stderr.startswith("guard: there is no interruption 'no'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("show", "d"), ("list", "--json")])
def test_json_of_any_text_is_printed_and_steers_no_terminal(url: str, words: tuple[str, ...]) -> None:
    asked = "half \ud800, \x9b31m, \x7f, \u202e, ü"
    asyncio.run(_fill(Store(url), [stored("d", at=4.0, evidence=Evidence(question=asked))]))
    done = call(url, *words)
    assert done.exit_code == 0
    assert "".join(done.output.split("\n")).isprintable()
    found = json.loads(done.output)
    assert (found[0]["question"] if words[0] == "list" else found["provenance"]["evidence"]["question"]) == asked
