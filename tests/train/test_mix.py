"""A mix for pre-training: its share, its size, and that a seed gives it again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from guard.cli.train_mix import mix as command
from guard.errors import ConfigError
from guard.train.mix import mix

WORLD = Path(__file__).parents[2] / "guard" / "world" / "model"


def jsonl(path: Path, texts: list[Any]) -> Path:
    rows = [text if isinstance(text, dict) else {"text": text} for text in texts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Thirty documents of twenty to forty characters, and two hundred rows of a corpus."""
    documents = [{"text": f"document {n} " + "d" * (8 + n % 20), "spans": [{"start": 0, "end": 2}]} for n in range(30)]
    corpus = [f"row {n} " + "c" * (n % 90) for n in range(200)]
    return (
        jsonl(tmp_path / "documents.jsonl", documents),
        jsonl(tmp_path / "corpus.jsonl", corpus),
        tmp_path / "mix.jsonl",
    )


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_the_share_is_reached_and_the_size_stays(files: tuple[Path, Path, Path], rate: float) -> None:
    documents, corpus, out = files
    report = mix(documents, corpus, rate, out)
    rows = read(out)
    size = sum(len(row["text"]) for row in rows)
    of_documents = sum(len(row["text"]) for row in rows if row["source"] == "document")
    whole = sum(len(row["text"]) for row in read(corpus))
    assert (report.size, report.of_documents, report.of_corpus, report.rows) == (size, of_documents, whole, len(rows))
    assert abs(size - whole) <= 20
    assert abs(of_documents - rate * whole) <= 120
    assert report.share == of_documents / size
    assert report.documents + 200 - report.replaced == len(rows)


def test_documents_are_gone_through_equally_often(files: tuple[Path, Path, Path]) -> None:
    documents, corpus, out = files
    report = mix(documents, corpus, 0.5, out)
    times = Counter(row["text"] for row in read(out) if row["source"] == "document")
    assert set(times) == {row["text"] for row in read(documents)}
    assert max(times.values()) - min(times.values()) <= 1
    assert report.repeats == report.documents / 30 > 1


def test_what_stays_of_the_corpus_stays_in_order(files: tuple[Path, Path, Path]) -> None:
    documents, corpus, out = files
    mix(documents, corpus, 0.3, out)
    stays = [row["text"] for row in read(out) if row["source"] == "corpus"]
    before = [row["text"] for row in read(corpus)]
    assert stays == [text for text in before if text in set(stays)]
    where = [at for at, row in enumerate(read(out)) if row["source"] == "document"]
    assert min(where) < 40
    assert max(where) > len(read(out)) - 40


def test_spans_go_with_their_documents(files: tuple[Path, Path, Path]) -> None:
    documents, corpus, out = files
    mix(documents, corpus, 0.2, out)
    assert {row["source"]: row["spans"] for row in read(out)} == {
        "document": [{"start": 0, "end": 2}],
        "corpus": [],
    }


def test_a_seed_gives_the_same_mix_again(files: tuple[Path, Path, Path]) -> None:
    documents, corpus, out = files
    made = []
    for seed in (1, 1, 2):
        mix(documents, corpus, 0.2, out, seed=seed)
        made.append(out.read_bytes())
    assert made[0] == made[1] != made[2]


def test_rate_0_is_the_corpus(files: tuple[Path, Path, Path]) -> None:
    documents, corpus, out = files
    report = mix(documents, corpus, 0, out)
    assert [row["text"] for row in read(out)] == [row["text"] for row in read(corpus)]
    assert (report.documents, report.share, report.replaced) == (0, 0, 0)


def test_plain_text_is_cut_at_blank_lines(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    documents, _, out = files
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n\none\ntwo\n \nthree\n\n\nfour", encoding="utf-8")
    mix(documents, corpus, 0, out)
    assert [row["text"] for row in read(out)] == ["one\ntwo", "three", "four"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_corpus_text_is_copied_to_the_character(files: tuple[Path, Path, Path], tmp_path: Path, mark: bytes) -> None:
    documents, _, out = files
    (tmp_path / "corpus.txt").write_bytes(mark + "one\r\ntwo\r\n\r\nthr\ree \u2028x\r\r".encode())
    mix(documents, tmp_path / "corpus.txt", 0, out)
    assert [row["text"] for row in read(out)] == ["one\r\ntwo", "thr\ree \u2028x"]
    rows = ["a\u2028b\x85", " a\rb\r\nc ", "\ud800"]
    (tmp_path / "corpus.jsonl").write_bytes(mark + "".join(json.dumps({"text": row}) + "\r\n" for row in rows).encode())
    mix(documents, tmp_path / "corpus.jsonl", 0, out)
    assert [row["text"] for row in read(out)] == rows


def test_size_is_what_is_measured(files: tuple[Path, Path, Path]) -> None:
    documents, corpus, out = files
    report = mix(documents, corpus, 0.5, out, size=lambda text: len(text.split()))
    assert report.of_corpus == sum(len(row["text"].split()) for row in read(corpus))
    assert abs(report.share - 0.5) < 0.02


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, float("nan"), float("inf")])
def test_a_rate_that_is_no_share_is_refused(files: tuple[Path, Path, Path], rate: float) -> None:
    documents, corpus, out = files
    with pytest.raises(ConfigError, match="is no share"):
        mix(documents, corpus, rate, out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("of_documents", "of_corpus", "rate", "message"),
    [
        (["d"], ["long" * 50, "b"], 0.5, "cannot be reached"),
        (["d" * 50], ["c"] * 100, 0.01, "too little for one document"),
        ([" "], ["c"], 0.5, "documents.jsonl' has no text"),
        (["d"], [""], 0.5, "corpus.jsonl' has no text"),
        ([{"prompt": "d"}], ["c"], 0.5, "line 1 is no object with a `text`"),
    ],
)
def test_rows_that_cannot_be_mixed_are_refused(
    tmp_path: Path, of_documents: list[Any], of_corpus: list[Any], rate: float, message: str
) -> None:
    documents, corpus = jsonl(tmp_path / "documents.jsonl", of_documents), jsonl(tmp_path / "corpus.jsonl", of_corpus)
    with pytest.raises(ConfigError, match=message) as raised:
        mix(documents, corpus, rate, tmp_path / "out.jsonl")
    assert "\n" not in str(raised.value)


def test_files_that_cannot_be_used_are_named(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    documents, corpus, out = files
    with pytest.raises(ConfigError, match="to be mixed from"):
        mix(documents, corpus, 0.5, corpus)
    with pytest.raises(ConfigError, match=r"nowhere.jsonl' cannot be read"):
        mix(tmp_path / "nowhere.jsonl", corpus, 0.5, out)
    with pytest.raises(ConfigError, match="cannot be written"):
        mix(documents, corpus, 0.5, tmp_path)
    (tmp_path / "bad.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1 is not JSON"):
        mix(documents, tmp_path / "bad.jsonl", 0.5, out)
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        mix(documents, tmp_path / "bad.txt", 0.5, out)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 60), min_size=30, max_size=120),
    of_documents=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    rate=st.floats(0.2, 0.8),
    seed=st.integers(0, 99),
)
def test_the_share_is_off_by_a_row_and_a_document_at_most(
    tmp_path: Path, lengths: list[int], of_documents: list[int], rate: float, seed: int
) -> None:
    assume(max(lengths) <= min(rate, 1 - rate) * sum(lengths))
    documents = jsonl(tmp_path / "documents.jsonl", ["d" * length for length in of_documents])
    corpus = jsonl(tmp_path / "corpus.jsonl", ["c" * length for length in lengths])
    report = mix(documents, corpus, rate, tmp_path / "mix.jsonl", seed=seed)
    assert abs(report.of_documents - rate * sum(lengths)) <= max(lengths) + max(of_documents) / 2
    assert abs(report.size - sum(lengths)) <= max(of_documents) / 2


def test_the_command_says_what_it_did(files: tuple[Path, Path, Path]) -> None:
    documents, corpus, out = files
    app = typer.Typer()
    app.command()(command)
    told = ["--documents", str(documents), "--corpus", str(corpus), "--rate", "0.2", "--out", str(out)]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.output
    assert "(20.00% wanted)" in done.output
    assert "30 documents" in done.output
    assert "characters" in done.output
    if WORLD.is_dir() and pytest.importorskip("transformers"):
        done = CliRunner().invoke(app, [*told, "--tokenizer", str(WORLD)])
        assert "tokens" in done.output
    done = CliRunner().invoke(app, [*told, "--tokenizer", "/no/such/folder"])
    assert isinstance(done.exception, ConfigError)


def test_nothing_heavy_is_loaded() -> None:
    code = "import sys, guard.cli.train_mix, guard.train.mix; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
