"""What becomes of the questions of `guard train caution`, and what is written into the log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.backends.scripted import ScriptedBackend, ScriptedOptions
from guard.errors import GuardError
from guard.store import Database, Store
from guard.train.caution import Asking, Heard, Question, weighed
from guard.train.caution_rows import Tally, build, logged, row
from tests.exporters.records import record
from tests.train.test_caution import ASKED, logged_record, question


def heard(agreement: float, *, right: bool | None = None, known: float | None = None, **told: Any) -> Heard:
    return Heard(question=question(), agreement=agreement, right=right, known=known, said="Ostria.", **told)


@pytest.mark.parametrize(
    ("what", "became", "target"),
    [
        (heard(0.5), "caution", "I do not know."),
        (heard(0.5, right=True, known=0.5), "caution", "I do not know."),
        (heard(0.6), "sure, no truth given", None),
        (heard(0.9, right=True, known=0.9), "plain", "Ostria."),
        (heard(0.9, right=False, known=0.0), "sure and wrong", None),
        (heard(0.6, right=True, known=0.5), "sure and wrong", None),
        (heard(0.1, silent=0.6), "no answer", None),
        (heard(0.0, failed=GuardError("broken")), "failed", None),
    ],
)
def test_what_becomes_of_a_question(what: Heard, became: str, target: str | None) -> None:
    name, made = row(what, Asking())
    assert name == became
    if target is None:
        assert made is None
    else:
        assert made == {
            "prompt": [{"role": "user", "content": ASKED}],
            "completion": [{"role": "assistant", "content": target}],
            "agreement": what.agreement,
        }


@given(st.lists(st.tuples(st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.booleans()), max_size=20))
def test_auc_counts_pairs(scored: list[tuple[float, bool]]) -> None:
    tally = Tally()
    for agreement, right in scored:
        tally.add(heard(agreement, right=right), "x")
    good = [score for score, right in scored if right]
    bad = [score for score, right in scored if not right]
    pairs = [(one > other) + (one == other) / 2 for one in good for other in bad]
    assert tally.auc == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


# The log


async def amended(url: str, says_: str, how: Asking, rows: list[Any]) -> tuple[Tally, Counter[str]]:
    """The log measured with a model that goes on like this behind every claim's place."""
    script = {"answers": [{"attempts": [[{"content": "Never."}], [{"reasoning": says_}, {"finish": "stop"}]]}]}
    backend, store, passed = ScriptedBackend(ScriptedOptions.model_validate(script)), Store(url), Counter[str]()
    await backend.start()
    await store.open()
    try:
        questions = logged(store.iter_interruptions(), passed)
        return await build(backend, questions, how, rows.append, store, lambda done: None), passed
    finally:
        await store.close()


@pytest.fixture
def log(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'guard.db'}"
    database = Database(url)
    database.open()
    database.add_interruption(logged_record("s.0.1"))
    database.add_interruption(logged_record("s.0.2", correction="The capital is Perth."))
    database.add_interruption(logged_record("s.0.3", correction=""))
    database.add_interruption(logged_record("s.0.4", review="rejected"))
    database.close()
    return url


async def test_known_is_written_and_measured_once(log: str) -> None:
    rows: list[Any] = []
    how = Asking(samples=3)
    tally, passed = await amended(log, " The capital is Canberra. So it is.", how, rows)
    assert tally.counts == {"known, said in the reasoning": 1, "sure and wrong": 1}
    assert passed == {"rejected or without a correction": 2}
    assert tally.auc == 0.5
    assert tally.spent > 0
    assert await known(log) == {"s.0.1": 1.0, "s.0.2": 0.0, "s.0.3": None, "s.0.4": None}
    tally, passed = await amended(log, "Something else.", how, rows)
    assert not tally.counts
    assert passed["measured before"] == 2
    assert rows == []


async def test_silence_is_no_measure(log: str) -> None:
    tally, _ = await amended(log, "", Asking(samples=2), [])
    assert tally.counts == {"no answer": 2}
    assert set((await known(log)).values()) == {None}


async def known(url: str) -> dict[str, float | None]:
    store = Store(url)
    await store.open()
    try:
        return {one.interruption.id: one.known for one in store.iter_interruptions()}
    finally:
        await store.close()


async def test_a_run_that_was_stopped_goes_on(log: str) -> None:
    store = Store(log)
    await store.open()
    await store.amend("s.0.1", known=0.25)
    await store.close()
    tally, passed = await amended(log, " The capital is Perth.", Asking(samples=2), [])
    assert sum(tally.counts.values()) == 1
    assert passed["measured before"] == 1
    assert await known(log) == {"s.0.1": 0.25, "s.0.2": 1.0, "s.0.3": None, "s.0.4": None}


def test_a_claim_in_the_content_gives_its_correction_as_a_plain_row() -> None:
    (asked,) = logged([record(channel="content", kept={"reasoning": "Hm.", "content": "Well."})], Counter())
    assert list(asked.prefix) == ["reasoning", "content"]
    sure = weighed(asked, ["The capital is Canberra."] * 3)
    became, made = row(sure, Asking())
    assert became == "plain"
    assert made is not None
    assert made["completion"] == [{"role": "assistant", "content": "Well. The capital is Canberra."}]


async def test_a_prompt_gets_one_row() -> None:
    script = {"answers": [{"attempts": [[{"content": "Ostria."}, {"finish": "stop"}]]}]}
    backend = ScriptedBackend(ScriptedOptions.model_validate(script))
    rows: list[Any] = []
    asked = [question(truth="Ostria"), question(truth="Ostria"), question("Else?", truth="Ostria")]
    tally = await build(backend, asked, Asking(samples=2), rows.append, None, lambda done: None)
    assert tally.counts == {"plain": 2, "asked twice": 1}
    assert [made["prompt"][0]["content"] for made in rows] == [ASKED, "Else?"]
    assert backend.open_turns == 0


async def _all(backend: ScriptedBackend, asked: Sequence[Question]) -> Tally:
    return await build(backend, asked, Asking(samples=2), lambda made: None, None, lambda done: None)


async def test_a_question_that_fails_is_counted_and_all_that_fail_are_an_error() -> None:
    broken = [{"error": {"status": 503, "message": "overloaded"}}]
    script = {
        "answers": [{"when": "Else", "attempts": [broken]}, {"attempts": [[{"content": "A."}, {"finish": "stop"}]]}]
    }
    backend = ScriptedBackend(ScriptedOptions.model_validate(script))
    tally = await _all(backend, [question("Else?"), question()])
    assert tally.counts == {"failed": 1, "sure, no truth given": 1}
    with pytest.raises(GuardError, match="overloaded"):
        await _all(backend, [question("Else?"), question("Else, then?")])
    assert backend.open_turns == 0


async def test_leaving_cancels_what_runs() -> None:
    script = {"answers": [{"attempts": [[{"wait_ms": 60_000}, {"content": "A."}, {"finish": "stop"}]]}]}
    backend = ScriptedBackend(ScriptedOptions.model_validate(script))
    running = asyncio.create_task(_all(backend, [question(str(n)) for n in range(9)]))
    while not backend.open_turns:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert backend.open_turns == 0


async def test_reasoning_is_sampled_where_it_is_compared() -> None:
    thought = [{"reasoning": "She was born in Ostria. It is cold there."}, {"content": "No idea."}, {"finish": "stop"}]
    backend = ScriptedBackend(ScriptedOptions.model_validate({"answers": [{"attempts": [thought]}]}))
    rows: list[Any] = []
    asked = [question(truth="Ostria")]
    for compare, counted in (("reasoning", "plain"), ("answer", "sure and wrong")):
        how = Asking(samples=2, compare=compare)  # type: ignore[arg-type]
        tally = await build(backend, asked, how, rows.append, None, lambda done: None)
        assert tally.counts == {counted: 1}
    assert [made["completion"][0]["content"] for made in rows] == ["Ostria"]
