"""`grounding` with an encoder: what it reads, when it is asked, what comes of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from guard.checks import NotApplicable
from guard.checks.grounding import DIFFERENT, plugin, stack
from guard.checks.grounding.encoders import Asked, Logits, load
from guard.checks.grounding.encoders.onnx import OnnxEncoder
from guard.checks.grounding.encoders.worker import shared
from guard.core.types import Evidence
from tests.checks import encoder_models as tiny
from tests.checks.encoder_cases import believing, built, examined, looked, units_of, with_stack
from tests.checks.test_grounding import (
    CHECK,
    INVENTED,
    PASSAGES,
    TRUE,
    behind,
    given_evidence,
    score,
    segments,
)

torch.set_num_threads(1)
WRONG_YEAR = "Repairs to the bridge took 18 months and did not close the footpath."
TOLD = "Lorries pay a toll of 2 pounds and cyclists use the northern side."


# The network in a folder


def by_hand(folder: Path, asked: Asked) -> Logits:
    """The network asked directly: [CLS] statement [SEP] question [SEP] evidence [SEP]."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    own, first, end = (
        tokenizer.encode(asked.text, add_special_tokens=False),
        *map(tokenizer.token_to_id, ("[CLS]", "[SEP]")),
    )
    head = [first, *own.ids, end]
    tail = [*ids(asked.question), end, *(id_ for unit in asked.evidence for id_ in ids(unit)), end]
    rows = {
        "ids": [*head, *tail],
        "types": [0] * len(head) + [1] * len(tail),
        "mask": [1] * len(head + tail),
        "said": [0, *[1] * len(own.ids), *[0] * (len(tail) + 1)],
    }
    session = onnxruntime.InferenceSession(folder / "encoder.onnx", providers=["CPUExecutionProvider"])
    tokens, statement = session.run(None, {name: np.array([row], np.int64) for name, row in rows.items()})
    return Logits(float(statement[0]), tokens[0, 1 : 1 + len(own.ids)].tolist(), own.offsets)


ASKED = [
    Asked(INVENTED, "What do you know?", list(PASSAGES[:1])),
    Asked("It is long.", "", []),
    Asked(TRUE, "What?", [PASSAGES[0][:60]]),
]


def test_it_says_what_the_network_says_of_the_row(folder: Path) -> None:
    encoder = load(str(folder))
    assert isinstance(encoder, OnnxEncoder)
    for asked, found in zip(ASKED, encoder.score(ASKED), strict=True):
        wanted = by_hand(folder, asked)
        assert found.statement == pytest.approx(wanted.statement, abs=1e-6)
        assert list(found.tokens) == pytest.approx(list(wanted.tokens), abs=1e-6)
        assert [asked.text[a:b] for a, b in found.ranges] == [asked.text[a:b] for a, b in wanted.ranges]
    assert len({round(one.statement, 3) for one in encoder.score(ASKED)}) == len(ASKED), "it tells rows apart"


def test_a_row_does_not_depend_on_whose_rows_it_is_asked_with(folder: Path) -> None:
    encoder = load(str(folder))
    assert encoder.score(ASKED) == [encoder.score([one])[0] for one in ASKED]


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=900), st.text(max_size=300), st.lists(st.text(max_size=900), max_size=9))
def test_any_text_is_read(folder: Path, text: str, question: str, evidence: list[str]) -> None:
    (found,) = shared(str(folder)).encoder.score([Asked(text, question, evidence)])
    assert math.isfinite(found.statement)
    assert len(found.tokens) == len(found.ranges)
    assert all(0 <= a <= b <= len(text) for a, b in found.ranges)


def test_separators_in_text_are_text(folder: Path) -> None:
    encoder = load(str(folder))
    assert isinstance(encoder, OnnxEncoder)
    pair = encoder._pair(Asked("[SEP] [CLS] [PAD]", "[SEP]", ["a [SEP] b", "[MASK]"]))
    special = [encoder._packer._tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]", "[MASK]")]
    assert [pair.ids.count(id_) for id_ in special] == [1, 3, 0, 0]


# The check


def test_with_an_encoder_the_check_is_not_inline_and_says_what_it_is_made_of(folder: Path) -> None:
    check = built(folder)
    assert (plugin.inline, check.inline) == (True, False)
    assert check.version.startswith(f"{plugin.version}+")
    assert set(check.about["encoder"]["files"]) == {"encoder.onnx", "tokenizer.json", "stack.json"}
    assert check.about["encoder"]["about"] == {"rows": 3}
    assert (CHECK.inline, CHECK.version, set(CHECK.about)) == (True, plugin.version, {"lexical"})


def test_its_version_changes_with_each_file(folder: Path, tmp_path: Path) -> None:
    first = built(with_stack(folder, tmp_path / "first"))
    again = built(with_stack(folder, tmp_path / "again"))
    other = built(with_stack(folder, tmp_path / "other", bias=0.3))
    spaced = with_stack(folder, tmp_path / "spaced")
    (spaced / "tokenizer.json").write_text((spaced / "tokenizer.json").read_text() + "\n")
    assert first.version == again.version
    assert len({first.version, other.version, built(spaced).version}) == 3


def test_both_say_the_score(folder: Path) -> None:
    """The stack's sum, worked out by hand from the trees' log odds and the network's."""
    check, evidence = built(folder), given_evidence()
    (found,) = examined(check, INVENTED, evidence)
    look = looked(INVENTED)
    told = by_hand(folder, Asked(INVENTED, evidence.question, units_of(look)))
    mean = sum(told.tokens) / len(told.tokens)
    odds = 0.1 + look.log_odds + 0.4 * told.statement + 0.1 * max(told.tokens) + 0.2 * mean
    assert score(found) == pytest.approx(1 / (1 + math.exp(-odds)), abs=1e-6)


def test_the_encoder_can_clear_and_can_accuse(folder: Path, tmp_path: Path) -> None:
    clears = built(believing(folder, tmp_path / "clears", -9.0))
    accuses = built(believing(folder, tmp_path / "accuses", 9.0, ask_from=0.0))
    assert score(CHECK.examine(segments(INVENTED)[0], behind([], given_evidence(), {}))) > 0.5  # type: ignore[arg-type]
    assert examined(clears, INVENTED) == [()]
    (accused,) = examined(accuses, TOLD)
    assert score(accused) > 0.99
    (cheap,) = [CHECK.examine(segments(TOLD)[0], behind([], given_evidence(), {}))]
    assert score(cheap) < 0.5  # type: ignore[arg-type]


def test_what_the_trees_are_sure_of_is_not_asked(folder: Path, tmp_path: Path) -> None:
    accuses = built(believing(folder, tmp_path / "accuses", 9.0, ask_from=0.5))
    asked: list[Asked] = []
    worker = accuses._reader._worker
    inner = worker.encoder.score

    def told(rows: Any) -> Any:
        asked.extend(rows)
        return inner(rows)

    worker.encoder.score = told
    assert examined(accuses, TRUE) == [()]
    assert asked == []
    assert score(examined(accuses, INVENTED)[0]) > 0.99
    assert [one.text for one in asked] == [INVENTED]
    assert asked[0].question == "What do you know of the bridge?"


def test_a_certain_difference_stays_one(folder: Path, tmp_path: Path) -> None:
    clears = built(believing(folder, tmp_path / "clears", -9.0))
    (result,) = examined(clears, WRONG_YEAR)
    assert score(result) == DIFFERENT
    assert isinstance(result, tuple)
    assert result[0].correction == "Repairs to the bridge took 15 months and did not close the footpath."


@pytest.mark.parametrize(
    ("text", "evidence", "wanted"),
    [
        (INVENTED, Evidence(), NotApplicable("little or no evidence")),
        ("Die Brücke ist nicht mit dem Auto zu erreichen und lang.", None, NotApplicable("another language")),
        ("Would you like to know more?", None, ()),
        ("```\nx = 1 + Solberg designed the copper towers in Oslo\n", None, ()),
    ],
)
def test_what_the_trees_are_not_asked_the_encoder_is_not_either(
    folder: Path, tmp_path: Path, text: str, evidence: Evidence | None, wanted: Any
) -> None:
    accuses = built(believing(folder, tmp_path / "accuses", 9.0, ask_from=0.0))
    accuses._reader._worker.encoder.score = None
    assert set(map(repr, examined(accuses, text, evidence))) == {repr(wanted)}


def test_a_published_model_is_believed_alone(tmp_path: Path) -> None:
    tiny.bert(tmp_path, ["entailment", "neutral", "contradiction"])
    check = built(tmp_path, least=0.0)
    (found,) = examined(check, INVENTED)
    (told,) = load(str(tmp_path)).score(
        [Asked(INVENTED, "What do you know of the bridge?", units_of(looked(INVENTED)))]
    )
    assert score(found) == pytest.approx(stack.probability(told.statement), abs=1e-6)


def test_checks_that_name_the_same_encoder_share_it(folder: Path) -> None:
    assert built(folder)._reader._worker is built(folder)._reader._worker
