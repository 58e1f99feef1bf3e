"""`guard export` to a folder: what is selected, split, described, and read again by `datasets`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard import registry
from guard.cli.exporting import export_rows
from guard.core.records import InterruptionRecord, Review
from guard.core.types import Closing
from guard.errors import ConfigError, GuardError
from guard.harvest.card import quoted
from guard.harvest.order import STORE, Order
from guard.store import Database
from tests.exporters.records import record
from tests.harvest.logs import filled, judged, session, turn, varied

FORMATS = sorted(set(registry.names("exporters")) - {"distillation"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A log: a store and, where archives can be made, an archive of it."""
    folder = tmp_path_factory.mktemp("log")
    turns = [record for number in range(10) for record in turn(number, complete=number % 3 > 0)]
    with filled(folder, [*map(varied, range(150)), *turns], map(session, range(0, 150, 3))) as database:
        judged(database, "x00003.0#1", "confirmed")
        judged(database, "x00006.0#1", "rejected")
        yield folder


def export(folder: Path, out: Path, format_: str, **more: Any) -> Path:
    export_rows(format_, out, f"sqlite:///{folder}/guard.db", **more)
    return out


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ids(path: Path) -> list[str]:
    return [row["id"] for row in rows(path)]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_folder_is_a_data_set(format_: str, folder: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="rows are read as in the `train` extra")
    out = export(folder, tmp_path / "set", format_, validation=0.25)
    read = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    for split in ("train", "validation"):
        assert len(read[split]) == len(rows(out / f"{split}.jsonl")) > 0
    if "id" in read.column_names["train"]:  # OpenAI takes no columns but its own
        assert [row["id"] for row in read["train"]] == ids(out / "train.jsonl")
        assert not set(read["train"]["conversation"]) & set(read["validation"]["conversation"])


def test_the_same_log_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    one, other = (
        export(folder, tmp_path / n / "set", "preference", dedupe="near") for n in ("a", "b") if _dir(tmp_path / n)
    )
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in other.iterdir()
    }


def _dir(path: Path) -> bool:
    path.mkdir()
    return True


def test_a_growing_log_moves_nothing(tmp_path: Path) -> None:
    before = dict[str, list[str]]()
    with filled(tmp_path, map(varied, range(60))) as database:
        out = export(tmp_path, tmp_path / "set", "prompt_completion", validation=0.25)
        for split in ("train", "validation"):
            before[split] = ids(out / f"{split}.jsonl")
        for each in map(varied, range(60, 120)):
            database.add_interruption(each)
        export(tmp_path, out, "prompt_completion", validation=0.25)
    for split, there in before.items():
        assert there
        assert ids(out / f"{split}.jsonl")[: len(there)] == there


def test_archive_and_store_give_the_same_rows(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="archives need the `archive` extra")
    from guard.archive import Archive

    database = Database(f"sqlite:///{folder}/guard.db")
    Archive(str(tmp_path / "archive")).update(database)
    database.close()
    for format_ in ("clean", "documents", "stepwise"):
        url = f"sqlite:///{folder}/guard.db"
        export_rows(format_, tmp_path / "store.jsonl", url, where=["since=50000"])
        export_rows(format_, tmp_path / "archive.jsonl", url, archive=str(tmp_path / "archive"), where=["since=50000"])
        assert (tmp_path / "store.jsonl").read_bytes() == (tmp_path / "archive.jsonl").read_bytes() != b""


@pytest.mark.parametrize(("format_", "told"), [("clean", "only the correction"), ("stepwise", "right or wrong")])
def test_the_card_says_what_a_row_teaches(folder: Path, tmp_path: Path, format_: str, told: str) -> None:
    card = (export(folder, tmp_path / "set", format_, licence="MIT") / "README.md").read_text(encoding="utf-8")
    assert told in card
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "mit"


def test_the_card_says_what_is_there(folder: Path, tmp_path: Path) -> None:
    out = export(
        folder,
        tmp_path / "my set",
        "prompt_completion",
        validation=0.25,
        where=["user=u1", "check=knowledge"],
        licence="CC BY-SA 4.0",
        unreviewed=True,
    )
    card = (out / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "other"
    assert front["license_name"] == "CC BY-SA 4.0"
    assert [file["path"] for file in front["configs"][0]["data_files"]] == ["train.jsonl", "validation.jsonl"]
    for name in ("train.jsonl", "validation.jsonl"):
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() in card
    assert (
        "guard export prompt_completion --out 'my set' --store STORE --where user=... --where check=knowledge" in card
    )
    assert "nobody has looked at some of these rows" in card
    assert str(tmp_path) not in card
    assert str(folder) not in card
    assert "u1" not in card
    read, selected = map(int, re.findall(r"(\d+) records were read, (\d+) selected", card)[0])
    left = sum(int(n) for n in re.findall(r"^\| (?:duplicate|not Unicode) \| (\d+) \|$", card, re.MULTILINE))
    assert read > selected > 0
    assert selected - left == len(ids(out / "train.jsonl")) + len(ids(out / "validation.jsonl"))


@pytest.mark.parametrize(
    "text", ["<script>", "[x](http://e)", "a|b", "line\nbreak", "# head", "`code`", "http://e.x", "www.e.x", "$x$", ""]
)
def test_what_the_log_says_is_no_markup(text: str) -> None:
    shown = quoted(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert "://" not in shown
    assert "www." not in shown
    assert not re.search(r"(?<!\\)[\[\]`|#*_$]", shown)


def test_a_card_quotes_the_log(tmp_path: Path) -> None:
    odd = record(
        check="x|y\n<b>", policy_model="![i](http://evil/x.png)", policy="---\nlicense: mit", review="confirmed"
    )
    with filled(tmp_path, [odd]):
        out = export(tmp_path, tmp_path / "set", "documents")
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "<b>" not in card
    assert "![i]" not in card
    assert "license" not in yaml.safe_load(card.split("---\n")[1])


def _reviewed(good: int, bad: int) -> list[InterruptionRecord]:
    reviews: list[Review] = [*["confirmed"] * good, *["rejected"] * bad, "unreviewed"]  # type: ignore[list-item]
    made = [varied(3 * n) for n in range(len(reviews))]
    cuts = [replace(each.interruption, check="c") for each in made]
    return [replace(m, review=r, interruption=c) for m, r, c in zip(made, reviews, cuts, strict=True)]


@pytest.mark.parametrize(
    ("good", "bad", "trust", "taken"),
    [(19, 0, 0.9, False), (19, 1, 0.9, True), (17, 3, 0.9, False), (17, 3, 0.8, True), (19, 1, 1.0, False)],
)
def test_a_check_that_reviewers_confirm_is_trusted(
    good: int, bad: int, trust: float, taken: bool, tmp_path: Path
) -> None:
    records = [_corrected(each) for each in _reviewed(good, bad)]
    with filled(tmp_path, records):
        out = export(tmp_path, tmp_path / "rows.jsonl", "prompt_completion", trust=trust, dedupe="none")
    found = set(ids(out))
    assert (records[-1].interruption.id in found) is taken
    assert not found & {each.interruption.id for each in records if each.review == "rejected"}
    assert found >= {each.interruption.id for each in records if each.review == "confirmed"}


def _corrected(of: InterruptionRecord) -> InterruptionRecord:
    closing = Closing(id=of.interruption.id, outcome="corrected", continuation="token_exact", followed=" Yes.")
    return replace(of, closing=closing)


def test_the_report_as_json(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = export(folder, tmp_path / "set", "preference", validation=0.25, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == sum(file["rows"] for file in told["files"]) > 0
    assert [file["name"] for file in told["files"]] == ["train.jsonl", "validation.jsonl"]
    assert told["files"][0]["sha256"] == hashlib.sha256((out / "train.jsonl").read_bytes()).hexdigest()
    assert told["read"] == 170
    assert told["left_out"]["duplicate"] > 0


def test_a_card_says_how_to_make_it_again(folder: Path, tmp_path: Path) -> None:
    order = Order(format="spans", out=Path("rows.jsonl"), archive="log", store=STORE, card=True)
    assert order.command() == "guard export spans --out rows.jsonl --archive log --store sqlite:///guard.db --card"
    assert replace(order, archive=None, card=None).command() == "guard export spans --out rows.jsonl"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"dedupe": "fuzzy"}, "--dedupe 'fuzzy' is none of exact, near, none"),
        ({"engine": "spark"}, "--engine 'spark' is none of local, ray"),
        ({"where": ["colour=red"]}, "colour=red"),
        ({"validation": 2.0}, "--validation 2.0 is no share"),
        ({"trust": 0.0}, "--trust 0.0 is no precision"),
        ({"tokenizer": "/no/such"}, "--tokenizer '/no/such' cannot be loaded"),
        ({"archive": "/no/such"}, "holds no archive"),
    ],
)
def test_a_mistake_makes_no_folder(more: dict[str, Any], message: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match=re.escape(message)) as raised:
        export(folder, tmp_path / "set", "documents", **more)
    assert isinstance(raised.value, ConfigError)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_failure_half_way_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text("kept", encoding="utf-8")
    monkeypatch.setattr("guard.harvest.sink.Features.see", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(folder, tmp_path / "set", "documents")
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["train.jsonl"]
    assert (tmp_path / "set" / "train.jsonl").read_text(encoding="utf-8") == "kept"


def test_what_a_session_does_not_have_chooses_those_of_a_store_that_hold_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cuts = [replace(varied(number), provenance=session(number).provenance) for number in range(3)]
    with filled(tmp_path, cuts, map(session, range(6))):
        read = {}
        for condition in ("check=knowledge", "late=false", "check=nobody", "policy=none", "check=grounding"):
            export(tmp_path, tmp_path / "rows.jsonl", "spans", unreviewed=True, where=[condition])
            said = capsys.readouterr().out
            found = re.search(r"(\d+) records read", said)
            read[condition] = int(found[1]) if found else -1
            assert (f"no session on record matches --where {condition}" in said) is (read[condition] == 0)
    assert read == {"check=knowledge": 1, "late=false": 3, "check=nobody": 0, "policy=none": 0, "check=grounding": 4}


def test_sessions_of_an_archive_are_not_chosen_by_what_is_in_them(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="an archive needs it")
    with pytest.raises(ConfigError, match="--where check, score: sessions of an archive cannot be chosen"):
        export_rows(
            "stepwise", tmp_path / "rows.jsonl", archive=f"{folder}/archive", where=["check=phrase", "score>=0.5"]
        )


def test_other_files_in_the_folder_are_told_of(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abcde":
        (tmp_path / name).touch()
    export(folder, tmp_path, "documents")
    assert "note: a, b, c and 2 more are in " in capsys.readouterr().err
    export(folder, tmp_path / "new", "documents")
    assert capsys.readouterr().err == ""
