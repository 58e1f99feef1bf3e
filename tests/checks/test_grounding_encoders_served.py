"""`grounding` with an encoder in a running server: what it flags is gone before the client sees it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from guard import registry
from guard.checks import Resources, Result
from guard.checks.grounding import plugin
from tests.checks.encoder_cases import believing, built, examined, grounded
from tests.checks.test_grounding import (
    INVENTED,
    PASSAGES,
    STOP,
    TRUE,
    behind,
    cuts,
    given_evidence,
    segments,
)
from tests.server.live import QUESTION, answer, eventually, serving
from tests.server.live import settings as served

torch.set_num_threads(1)
TOLD = "Lorries pay a toll of 2 pounds and cyclists use the northern side."


def settings_of(to: Path, encoder: Path, *answers: Any, **fields: Any) -> Any:
    return served(to, answers, policies={"default": grounded(to, encoder, **fields), "allowed": []})


SPOKEN = f"{TRUE} {TOLD} {INVENTED}"


@pytest.mark.parametrize("how", ["whole", "characters", "random"])
def test_an_invented_statement_is_retracted_before_the_client_sees_it(folder: Path, tmp_path: Path, how: str) -> None:
    said = answer([*cuts(SPOKEN, how), STOP], [{"content": " Lorries pay."}, STOP], cut=1)
    with serving(settings_of(tmp_path, folder, said)) as live:
        heard = live.stream(guard={"evidence": list(PASSAGES)})
        assert heard.text().startswith(f"{TRUE} {TOLD} ")
        assert "copper" not in heard.text()
        assert heard.text().endswith(" Lorries pay.")
        (record,) = live.interruptions()
        assert record.interruption.check == "grounding"
        assert record.interruption.claim.text.strip() == INVENTED
        (session,) = eventually(live.sessions)
        found = [
            (one.segment, one.status, [(f.score, f.reason, f.start, f.end) for f in one.findings])
            for one in session.choices[0].verdicts
        ]
        assert {one.version for one in live.gateway.policies["grounded"].specs} == {built(folder).version}
    assert found[:3] == _verdicts(folder), "the same however the text was cut"


def _verdicts(folder: Path) -> list[Any]:
    """What the check makes of the segments one after the other, asked directly."""
    out: list[Any] = []
    evidence = given_evidence(question=QUESTION[0]["content"])
    for at, result in enumerate(examined(built(folder), SPOKEN, evidence)):
        assert isinstance(result, tuple)
        flagged = bool(result) and result[0].score >= 0.3
        out.append((at, "flagged" if flagged else "clean", [(f.score, f.reason, f.start, f.end) for f in result]))
    return out


def test_many_streams_at_once_are_all_judged(folder: Path, tmp_path: Path) -> None:
    said = answer([*cuts(SPOKEN, "random"), STOP], [{"content": " Lorries pay."}, STOP], cut=1)
    told = settings_of(tmp_path, folder, said, patient=True)
    with serving(told) as live, ThreadPoolExecutor(50) as threads:
        heard = list(threads.map(lambda _: live.stream(guard={"evidence": list(PASSAGES)}).text(), range(50)))
        assert len(set(heard)) == 1
        assert "copper" not in heard[0]
        sessions = eventually(lambda: found if len(found := live.sessions()) == 50 else None)
        verdicts = [one for session in sessions for one in session.choices[0].verdicts]
        assert {one.status for one in verdicts} == {"clean", "flagged"}
        assert len(verdicts) == 50 * (len(_verdicts(folder)) + 1)


def test_an_encoder_that_breaks_leaves_the_segment_unscanned(folder: Path, tmp_path: Path) -> None:
    said = answer([{"content": f"{TRUE} {INVENTED}"}, STOP])
    told = settings_of(tmp_path, believing(folder, tmp_path / "own", 9.0), said)
    with serving(told) as live:
        live.gateway.policies["grounded"].checks["grounding"]._reader._worker.encoder.score = _breaks  # type: ignore[attr-defined]
        assert live.stream(guard={"evidence": list(PASSAGES)}).text() == f"{TRUE} {INVENTED}"
        assert live.metric("guard_unscanned_total", check="grounding", why="error: EncoderBusy") == 1


def _breaks(asked: Any) -> Any:
    from guard.checks.grounding.encoders import EncoderBusy

    raise EncoderBusy("full")


def test_the_registry_tells_the_session_that_it_is_not_inline(folder: Path, tmp_path: Path) -> None:
    loaded = registry.load_policy(registry.read_policy(grounded(tmp_path, folder)), Resources())
    (spec,) = loaded.specs
    assert not spec.inline
    pending = loaded.checks["grounding"].examine(segments("Hello!")[0], behind([], given_evidence(), {}))
    assert isinstance(pending, Awaitable)
    assert asyncio.run(_result(pending)) == ()
    assert not inspect.iscoroutinefunction(plugin.examine)


async def _result(pending: Awaitable[Result]) -> Result:
    return await pending
