"""`guard interruptions review` without ids: what is shown and what keys do, read as lines."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from guard.cli.reading import list_findings, review_interruptions, show_interruption
from guard.cli.reviewing import review_queue
from guard.errors import ConfigError
from guard.store import Database, Filter
from tests.server.live import answer, policy_file, serving, settings

ODD = {"text": "ODD", "reason": "that is odd.", "correction": "It is \x1b[2Jeven.", "score": 0.6}
BAD = {"text": "BAD", "reason": "that is wrong.", "correction": "It is GOOD.", "score": 0.9}
QUESTION: list[Any] = [{"role": "user", "content": "What \x1b[31mis it?"}]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that a served app wrote: an interruption, a statement flagged and let pass, and clean ones."""
    folder = tmp_path_factory.mktemp("reviewing")
    fine = {"text": "One", "score": 0.0}  # looked at, and nothing found
    policy = policy_file(folder, "two", checks=[{"check": "phrase", "phrases": [BAD, ODD, fine]}])
    said = [answer([{"content": "One. Two BAD. Three ODD. Four."}, {"finish": "stop"}])]
    with serving(settings(folder, said, policies={"default": policy})) as live:
        live.post(messages=QUESTION).raise_for_status()
    return folder / "guard.db"


@pytest.fixture
def url(filled: Path, tmp_path: Path) -> str:
    (tmp_path / "guard.db").write_bytes(filled.read_bytes())
    return f"sqlite:///{tmp_path / 'guard.db'}"


def review(url: str, monkeypatch: pytest.MonkeyPatch, typed: str | bytes, reviewer: str = "ann") -> None:
    raw = typed.encode() if isinstance(typed, str) else typed
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), "utf-8"))
    review_queue(url, reviewer, 20)


def said(url: str) -> dict[str, tuple[str, str, str | None, str | None]]:
    """By kind of subject, ruling, label and edit of the newest judgement."""
    return {
        "segment" if "#" in each.subject else "interruption": (each.ruling, each.label, each.reason, each.correction)
        for each in Database(url).iter_judgements()
    }


def test_everything_is_shown_and_nothing_steers_the_terminal(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    review(url, monkeypatch, "s\ns\ns\n")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "asked     What \ufffd[31mis it?" in out
    assert "claim     Two BAD." in out
    assert "put in    It is GOOD." in out
    assert "claim     Three ODD." in out
    assert "guard     let it pass" in out
    assert "check     phrase flagged 0.60: that is odd. It is \ufffd[2Jeven." in out
    assert len(re.findall(r"^\[\d/3\] ", out, re.M)) == 3
    assert said(url) == {}


def test_rulings_edits_and_labels_are_written(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    review(url, monkeypatch, "\nx\nl\nwrong date\ne\nit is not.\n\nc\nq\n")
    out = capsys.readouterr().out
    assert "'x' means nothing here: c confirm" in out
    assert "1 judged: 1 confirmed; 2 left of this sitting" in out
    (only,) = said(url).values()
    assert only == ("confirmed", "wrong date", "it is not.", None)
    review(url, monkeypatch, "r\nu\n")
    assert "2 judged" in capsys.readouterr().out
    review(url, monkeypatch, "")
    assert capsys.readouterr().out == "There is nothing that ann has not judged.\n"


def test_what_was_said_is_taken_back_and_asked_again(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    review(url, monkeypatch, "z\nr\nz\nc\nq\n")
    out = capsys.readouterr().out
    assert "there is nothing to take back" in out
    assert "taken back: rejected of " in out
    assert "1 judged: 1 confirmed" in out
    assert [each[0] for each in said(url).values()] == ["confirmed"]


def test_the_end_of_what_is_typed_and_bytes_that_are_no_text_end_nothing_badly(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    review(url, monkeypatch, b"l\n\xff\xfe\nc\n")
    ((ruling, label, *_),) = said(url).values()
    assert (ruling, label) == ("confirmed", "\ufffd\ufffd")


def test_a_review_needs_a_name(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="--reviewer NAME"):
        review(url, monkeypatch, "c\n", reviewer=" ")


def test_two_who_disagree_are_told_and_a_segment_may_be_named(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (cut,) = Database(url).iter_interruptions(Filter())
    key = cut.interruption.id
    review_interruptions(url, [key], "confirmed", "ann")
    review_interruptions(url, [key], "rejected", "bob")
    out = capsys.readouterr().out
    assert out == f"{key}: confirmed\n{key}: rejected (with the other reviewers: disputed)\n"
    list_findings(url, 5)
    listed = capsys.readouterr().out
    assert re.search(r"#\d+  two  phrase  none  0\.60  unreviewed\n    asked: What .*\n    Three ODD\.  ->", listed)
    segment = next(word for word in listed.split() if "#" in word)
    review_interruptions(url, [segment], "rejected", "ann")
    list_findings(url, 5)
    assert "0.60  missed\n" in capsys.readouterr().out
    review_interruptions(url, [segment], "confirmed", "ann")
    list_findings(url, 5)
    assert "0.60  rightly let pass\n" in capsys.readouterr().out


def test_a_statement_that_was_let_pass_is_shown_by_its_id(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    list_findings(url, 5)
    segment = next(word for word in capsys.readouterr().out.split() if "#" in word)
    show_interruption(url, segment, tokens=False)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["segment"]["text"], shown["kind"]) == (segment, " Three ODD.", "flagged")
    with pytest.raises(ConfigError, match=r"no statement 'x\.0#1' .*list --observed"):
        show_interruption(url, "x.0#1", tokens=False)


def test_an_edit_is_not_thrown_away_silently(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    review(url, monkeypatch, "e\nit is not.\n\nq\nc\nq\n")
    out = capsys.readouterr().out
    assert "it is written with your verdict: say c, r or u" in out
    assert "the edit is not saved: say c, r or u, or q again to leave without it" in out
    assert list(said(url).values()) == [("confirmed", "", "it is not.", None)]
    review(url, monkeypatch, "l\nname\nq\nq\n")
    review(url, monkeypatch, "l\nname\n", reviewer="bob")
    assert "the edit is not saved: there was no verdict" in capsys.readouterr().out
    assert len(said(url)) == 1


def test_the_keys_are_shown_when_asked_for(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    review(url, monkeypatch, "?\nq\n")
    out = capsys.readouterr().out
    assert "means nothing" not in out
    assert out.count("c confirm, r reject") == 2
