"""`guard export` from a log: which format, from where, and what a mistake is told as."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guard import registry
from guard.cli import app
from guard.core.records import InterruptionRecord
from guard.errors import ConfigError, GuardError, UnknownPlugin
from guard.store import Store
from tests.exporters.records import QWEN, make, record


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A log of three interruptions: one confirmed, one nobody has looked at, one with a lone surrogate."""
    where = f"sqlite:///{tmp_path}/guard.db"
    confirmed = record(review="confirmed")
    unread = record(id="t.0.1", session="t")
    odd = record(id="u.0.1", session="u", review="confirmed", followed=" \ud800")
    asyncio.run(_fill(Store(where), [confirmed, unread, odd]))
    return where


async def _fill(store: Store, records: list[InterruptionRecord]) -> None:
    await store.open()
    for each in records:
        await store.add_interruption(each)
    await store.close()


def export(url: str, out: Path, *words: str) -> str:
    """What the command says; its error is raised."""
    done = CliRunner().invoke(app, ["export", *words, "--out", str(out), "--store", url])
    if done.exception is not None:
        raise done.exception
    return done.output


def ids(out: Path) -> list[str]:
    return [json.loads(line)["id"] for line in out.read_text(encoding="utf-8").splitlines()]


OF_ONE_RECORD = sorted(
    # These need token ids, a measurement, a claim in the content, or whole sessions; two rows of a record are no one.
    set(registry.names("exporters")) - {"distillation", "caution", "openai", "spans", "stepwise", "unpaired_preference"}
)


@pytest.mark.parametrize("name", OF_ONE_RECORD)
def test_every_format_is_written(url: str, tmp_path: Path, name: str) -> None:
    out = tmp_path / "rows.jsonl"
    assert "1 rows in" in export(url, out, name)
    assert "s.0.1" in ids(out) or name == "axolotl"  # whose loader takes no other columns


def test_a_format_of_sessions_is_told_what_there_is(url: str, tmp_path: Path) -> None:
    assert "nothing has been interrupted yet" not in export(url, tmp_path / "rows.jsonl", "stepwise")


def test_conditions_that_nothing_meets_are_named(url: str, tmp_path: Path) -> None:
    said = export(url, tmp_path / "rows.jsonl", "documents", "--where", "check=fields")
    assert "none of the 3 interruptions on record matches --where check=fields" in said
    assert "nothing has been interrupted yet" not in said
    assert "nothing has been interrupted yet" in export(
        f"sqlite:///{_empty(tmp_path)}", tmp_path / "rows.jsonl", "documents", "--where", "check=fields"
    )


def _empty(folder: Path) -> Path:
    asyncio.run(_fill(Store(f"sqlite:///{folder}/empty.db"), []))
    return folder / "empty.db"


def test_redacted_records_without_token_ids_say_what_they_need(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="distillation needs a tokenizer")
    where = f"sqlite:///{tmp_path}/guard.db"
    asyncio.run(_fill(Store(where), [record(review="confirmed")]))
    make(QWEN).save_pretrained(tmp_path / "tokenizer")
    said = export(where, tmp_path / "rows.jsonl", "distillation", "--tokenizer", str(tmp_path / "tokenizer"))
    assert "1 no token ids" in said
    assert "record.top_logprobs" in said
    assert "redacted records keep none" in said


def test_how_much_was_read_is_told(url: str, tmp_path: Path) -> None:
    assert "3 records read, 2 selected; " in export(url, tmp_path / "rows.jsonl", "documents")


def test_what_is_the_same_is_written_once(tmp_path: Path) -> None:
    where, out = f"sqlite:///{tmp_path}/guard.db", tmp_path / "rows.jsonl"
    asyncio.run(_fill(Store(where), [record(id=f"{n}.0.1", session=n, review="confirmed") for n in "ab"]))
    assert "1 rows in" in export(where, out, "prompt_completion")
    assert "left out 1 duplicate" in export(where, out, "preference")
    assert ids(out) == ["a.0.1"]


def test_a_pipe_is_written_to(url: str) -> None:
    assert "1 rows in /dev/null" in export(url, Path("/dev/null"), "documents")
    assert Path("/dev/null").is_char_device()


def test_what_no_file_can_carry_is_counted(url: str, tmp_path: Path) -> None:
    assert "left out 1 not Unicode" in export(url, tmp_path / "rows.jsonl", "prompt_completion")


def test_unreviewed_lifts_the_review_but_not_for_clean(url: str, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    export(url, out, "documents", "--unreviewed")
    assert ids(out) == ["s.0.1", "t.0.1"]
    export(url, out, "clean", "--unreviewed")
    assert ids(out) == ["s.0.1"]


def test_preference_has_two_places(url: str, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    for words, place in (((), "after"), (("--at", "after"), "after"), (("--at", "before"), "before")):
        export(url, out, "preference", *words)
        assert json.loads(out.read_text(encoding="utf-8").splitlines()[0])["at"] == place


def test_clean_says_that_unreviewed_changes_nothing(url: str, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    said = "clean takes confirmed turns only; --unreviewed changes nothing"
    assert said in export(url, out, "clean", "--unreviewed")
    assert said not in export(url, out, "clean")
    assert said not in export(url, out, "documents", "--unreviewed")


def test_no_row_of_clean_is_no_reason_to_say_unreviewed(tmp_path: Path) -> None:
    where = f"sqlite:///{tmp_path}/unread.db"
    asyncio.run(_fill(Store(where), [record()]))
    for words, way in ((("clean", "--unreviewed"), False), (("clean",), False), (("documents",), True)):
        said = export(where, tmp_path / "rows.jsonl", *words)
        assert "review some (guard interruptions review ID confirmed)" in said
        assert ("or say --unreviewed" in said) is way


@pytest.mark.parametrize("tokenized", [False, True])
def test_rejected_fragments_are_counted(tmp_path: Path, tokenized: bool) -> None:
    where, out = f"sqlite:///{tmp_path}/guard.db", tmp_path / "rows.jsonl"
    texts = ("The", " and so it", " It has 3.5 million", " An opera house. And", " It is old.", " Is it?) No")
    cut = [
        record(id=f"{n}.0.1", session=str(n), discarded={"reasoning": text}, review="confirmed")
        for n, text in enumerate(texts)
    ]
    asyncio.run(_fill(Store(where), cut))
    words: tuple[str, ...] = ("preference",)
    if tokenized:
        make(QWEN).save_pretrained(tmp_path / "tokenizer")
        words += ("--tokenizer", str(tmp_path / "tokenizer"))
    said = export(where, out, *words)
    assert "6 rows in" in said
    assert "3 of 6 rejected texts are fragments" in said
    assert "set record.counterfactual in the policy" in said
    assert "rejected texts" not in export(where, out, *words, "--at", "before")


def test_whole_rejected_sentences_are_not_spoken_of(url: str, tmp_path: Path) -> None:
    assert "rejected texts" not in export(url, tmp_path / "rows.jsonl", "preference")


def test_the_help_lists_every_format() -> None:
    said = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "300", "TERM": "dumb"}).output
    (line,) = (line for line in said.splitlines() if "FORMAT" in line and "clean" in line)
    assert all(name in line for name in registry.names("exporters"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("preference", "--at", "between"), "'between'; say one of after, before"),
        (("clean", "--at", "after"), "--at 'after' is for a format with more than one place"),
        (("distillation",), "--tokenizer"),
        (("no_such",), "there is no exporter 'no_such'"),
    ],
)
def test_a_mistake_leaves_the_file_alone(url: str, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    out = tmp_path / "rows.jsonl"
    out.write_text("kept", encoding="utf-8")
    with pytest.raises(GuardError, match=message) as raised:
        export(url, out, *words)
    assert isinstance(raised.value, ConfigError | UnknownPlugin)
    assert "\n" not in str(raised.value)
    assert out.read_text(encoding="utf-8") == "kept"
