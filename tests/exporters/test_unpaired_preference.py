"""What to say and what not to say, a row each."""

from __future__ import annotations

from collections import Counter
from typing import Any

from guard.core.policy import Interrupt, Policy
from guard.core.records import Revision
from guard.exporters import Row
from guard.exporters.unpaired_preference import UnpairedPreference, plugin
from tests.exporters.records import IN_CONTENT, TOKENIZERS, make, record, spans, why

QWEN = TOKENIZERS["qwen"]


def found(tokenizer: Any = None, skipped: Counter[str] | None = None, **changes: Any) -> list[Row]:
    return list(plugin.rows([record(**changes)], tokenizer=tokenizer, skipped=skipped))


def told(rows: list[Row]) -> list[tuple[bool, str]]:
    return [(row["label"], row["at"]) for row in rows]


def test_a_correction_its_claim_and_what_came_behind_are_three_rows() -> None:
    right, claim, behind = found()
    assert told([right, claim, behind]) == [(True, "after"), (False, "before"), (False, "after")]
    assert spans(right)[1:] == [
        ("confabulated", " It is Sydney.", 0),
        ("injected", " No, the capital is Canberra.", 1),
        ("continuation", " So I say that.", 1),
        ("continuation", "Canberra.", 1),
    ]
    assert spans(claim) == [("context", "They ask for the capital.", 0), ("confabulated", " It is Sydney.", 0)]
    assert spans(behind)[1:] == [("confabulated", " It is Sydney.", 0), ("discarded", " Sydney has an opera house.", 0)]


def test_a_trainer_reads_prompt_completion_and_label() -> None:
    rows = found(QWEN)
    assert [row["completion"] for row in rows] == [
        " No, the capital is Canberra. So I say that.\n</think>\n\nCanberra.<|im_end|>",
        " It is Sydney.",
        " Sydney has an opera house.",
    ]
    right, claim, behind = (row["prompt"] for row in rows)
    assert right == behind == claim + " It is Sydney."


def test_a_retraction_is_learnt_in_the_claims_place() -> None:
    rows = found(**IN_CONTENT, correct="retract", put_in=" It is Canberra.", discarded={"content": " A port."})
    assert told(rows) == [(True, "before"), (False, "before")]
    assert spans(rows[0])[2:] == [("injected", " It is Canberra.", 1), ("continuation", " So I say that.", 1)]


def test_the_counterfactual_is_taken_where_it_says_more() -> None:
    *_, behind = found(counterfactual=" Sydney has an opera house, and a bridge.")
    assert spans(behind)[-1] == ("discarded", " Sydney has an opera house, and a bridge.", 0)
    assert told(found(discarded={})) == [(True, "after"), (False, "before")]


def test_what_it_said_anyway_is_no_counterexample() -> None:
    changes: dict[str, Any] = {
        "discarded": {"reasoning": " No, the capital is Canberra."},
        "followed": "",
        "answer": "",
    }
    assert told(found(**changes)) == [(True, "after"), (False, "before")]


def test_a_claim_is_wrong_whether_or_not_its_correction_can_be_learnt() -> None:
    skipped = Counter[str]()
    assert told(found(skipped=skipped, put_in=" No, it is Sydney.")) == [(False, "before"), (False, "after")]
    assert skipped == {"correction quotes the claim": 1}
    assert told(found(QWEN, complete=False)) == [(False, "before"), (False, "after")]


def test_what_gives_no_row_is_counted_once() -> None:
    assert why(record(continuation="reask"), exporter=plugin) == "not continued in place"
    assert why(record(messages=None), exporter=plugin) == "no text"


def test_what_the_trainer_would_read_otherwise_is_counted_for_each_row() -> None:
    skipped = Counter[str]()
    assert not found(QWEN, skipped, text=" It is <|im_end|>.")
    assert skipped == {"control token in the text": 3}


def test_one_that_does_not_know_is_to_say_so() -> None:
    exporter = UnpairedPreference(Policy(name="p", interrupt=Interrupt(unknown="No, who knows.")))
    right = next(iter(exporter.rows([record(known=0.2)])))
    assert spans(right)[-1] == ("injected", " No, who knows.", 1)
    assert right["synthesised"]


def test_a_reviewers_word_for_the_mistake_is_no_label() -> None:
    rows = found(revised=Revision(label="place"))
    assert {row["mistake"] for row in rows} == {"place"}
    assert [row["label"] for row in rows] == [True, False, False]


def test_a_row_that_would_be_read_otherwise_is_not_written() -> None:
    merging = make(QWEN.chat_template)
    merging.add_tokens([". No"])
    skipped = Counter[str]()
    rows = found(merging, skipped)
    assert [row["label"] for row in rows] == [False, False]
    assert skipped == {"tokens merge": 1}
