"""What Ray writes is what one process writes, byte for byte; real Ray, on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="archives need the `archive` extra")
pytest.importorskip("ray", reason="--engine ray needs the `scale` extra")

from guard import registry
from guard.archive import Archive
from guard.cli.exporting import export_rows
from guard.errors import ConfigError, StoreError
from guard.harvest import scaled
from tests.exporters.records import QWEN, make
from tests.harvest.logs import filled, judged, session, turn, varied

# What Ray's own code does at import, at its start and at its end.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray.*"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.xdist_group("ray"),
]
FORMATS = sorted(set(registry.names("exporters")) - {"distillation"})


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An archive of some days."""
    folder = tmp_path_factory.mktemp("log")
    turns = [record for number in range(10) for record in turn(number, complete=number % 3 > 0)]
    with filled(folder, [*map(varied, range(150)), *turns], map(session, range(0, 150, 3))) as database:
        judged(database, "x00003.0#1", "confirmed")
        judged(database, "x00006.0#1", "rejected")
        Archive(str(folder / "archive")).update(database)
    return str(folder / "archive")


@pytest.fixture(scope="module")
def ray(log: str) -> Iterator[None]:
    with scaled.started(num_cpus=1, object_store_memory=80 << 20):
        yield


def exported(out: Path, log: str, engine: str, format_: str, **more: Any) -> dict[str, bytes]:
    out.parent.mkdir()
    export_rows(format_, out, archive=log, engine=engine, validation=0.25, **more)
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("format_", FORMATS)
def test_both_engines_write_the_same(format_: str, log: str, tmp_path: Path) -> None:
    one, other = (exported(tmp_path / engine / "set", log, engine, format_) for engine in ("local", "ray"))
    assert one == other
    assert set(one) == {"train.jsonl", "validation.jsonl", "README.md"}
    assert all(one.values())


@pytest.mark.usefixtures("ray")
def test_with_a_tokenizer_conditions_and_near_duplicates_too(
    log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(QWEN).save_pretrained(tmp_path / "tokenizer")
    monkeypatch.chdir(tmp_path)  # the workers are elsewhere
    log = str(Path("..") / Path(log).relative_to(tmp_path.parent))
    more: dict[str, Any] = {
        "tokenizer": "tokenizer",
        "where": ["check=knowledge", "since=100000"],
        "dedupe": "near",
        "unreviewed": True,
    }
    one, other = (exported(tmp_path / e / "set", log, e, "prompt_completion", **more) for e in ("local", "ray"))
    assert one == other
    assert b"input_ids" in one["train.jsonl"]


@pytest.mark.usefixtures("ray")
def test_a_mistake_of_a_worker_s_is_one_line(log: str, tmp_path: Path) -> None:
    whole = Archive(log)
    broken = tmp_path / "archive"
    for path in Path(log).rglob("*"):
        target = broken / path.relative_to(log)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            target.write_bytes(path.read_bytes())
    (broken / whole.files("session")[1].path).write_bytes(b"PAR1 no more")
    with pytest.raises(StoreError, match="damaged") as raised:
        exported(tmp_path / "out" / "set", str(broken), "ray", "stepwise")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out" / "set").exists()


def test_ray_reads_an_archive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name it with --archive"):
        export_rows("documents", tmp_path / "rows.jsonl", engine="ray")
