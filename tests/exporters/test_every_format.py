"""What holds of every format: no claim is a target, the same records give the same rows, and `datasets` reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard import registry
from guard.core.records import InterruptionRecord
from guard.exporters import Placed
from guard.targets.repeats import repeats
from guard.targets.tokens import IGNORED
from tests.exporters.records import CLAIMS, IN_CONTENT, TEMPLATES, TOKENIZERS, WORDS, record, told

EXPORTERS: dict[str, Any] = {name: registry.exporter(name) for name in registry.names("exporters")}
EXPORTERS |= {f"{name} before": it.at("before") for name, it in EXPORTERS.items() if isinstance(it, Placed)}
QWEN = TOKENIZERS["qwen"]


def rows(name: str, records: list[InterruptionRecord], tokenizer: Any, skipped: Counter[str]) -> list[Any]:
    return list(EXPORTERS[name].rows(EXPORTERS[name].select(records), tokenizer=tokenizer, skipped=skipped))


def targets(row: Mapping[str, Any]) -> Iterator[list[int]]:
    """The runs of trained tokens of a row."""
    run: list[int] = []
    for label in [*row["labels"], IGNORED]:
        if label == IGNORED and run:
            yield run
            run = []
        elif label != IGNORED:
            run.append(label)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    claim=CLAIMS,
    kept=WORDS,
    texts=st.tuples(WORDS, WORDS, WORDS, WORDS),
    correct=st.sampled_from(["interrupt", "retract"]),
    channel=st.sampled_from(["reasoning", "content"]),
    known=st.sampled_from([None, 0.2, 0.9]),
    template=st.sampled_from(sorted(TEMPLATES)),
    name=st.sampled_from(sorted(EXPORTERS)),
)
def test_no_flagged_claim_is_ever_a_target(
    claim: str,
    kept: str,
    texts: tuple[str, str, str, str],
    correct: str,
    channel: str,
    known: float | None,
    template: str,
    name: str,
) -> None:
    made = TOKENIZERS[template]
    put_in, followed, answer, discarded = texts
    of = record(
        text=claim,
        kept={channel: kept},
        put_in=f" {put_in}",
        correction=put_in,
        followed=followed,
        answer=answer if channel == "reasoning" else "",
        discarded={channel: discarded},
        correct=correct,
        channel=channel,
        known=known,
        review="confirmed",
    )
    first, again = Counter[str](), Counter[str]()
    found = rows(name, [told(of, made)], made, first)
    assert len(found) + sum(first.values()) == 1
    assert found == rows(name, [told(of, made)], made, again)
    assert first == again
    for row in found:
        if "labels" not in row:
            assert not repeats(claim, row["chosen"])
            continue
        assert not any(repeats(claim, made.decode(run)) for run in targets(row))
        assert all(label in (id_, IGNORED) for id_, label in zip(row["input_ids"], row["labels"], strict=True))
        assert [int(label != IGNORED) for label in row["labels"]] == row["completion_mask"]
        assert made.decode(row["input_ids"]) == row.get("text", row.get("prompt", "") + row.get("completion", ""))


@pytest.mark.parametrize("tokenizer", [QWEN, None], ids=["tokens", "canonical"])
@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_datasets_reads_the_rows(name: str, tokenizer: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="rows are read as in the `train` extra")
    if name == "distillation" and tokenizer is None:
        return  # it has no form without
    cut_off = {"content": " It has a harbour."}
    other = record(**IN_CONTENT, discarded=cut_off, session="t", id="t.0.1", review="confirmed")
    records = [record(review="confirmed"), other]
    file = tmp_path / "rows.jsonl"
    made = rows(name, [told(of, QWEN) for of in records], tokenizer, Counter())
    assert len(made) == 2
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in made))
    read = datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    assert read["id"] == ["s.0.1", "t.0.1"]
    for column in {"labels", "top_ids", "text", "chosen"} & set(read.column_names):
        assert list(read[column]) == [row[column] for row in made]
