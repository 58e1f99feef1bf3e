"""The grounding check with an encoder, as the tests of its parts build and ask it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

from guard.checks import Resources, Result
from guard.checks.grounding import plugin
from guard.checks.grounding.pairs import nearest
from guard.core.types import Evidence
from tests.checks import encoder_models as tiny
from tests.checks.test_grounding import CHECK, behind, given_evidence, segments
from tests.server.live import policy_file


def with_stack(folder: Path, to: Path, **changes: Any) -> Path:
    """The same network under another stack."""
    to.mkdir(exist_ok=True)
    for name in ("encoder.onnx", "tokenizer.json"):
        shutil.copy(folder / name, to / name)
    tiny.stacked(to, **changes)
    return to


def believing(folder: Path, to: Path, bias: float, **changes: Any) -> Path:
    """A stack that says nearly the same whatever the trees and the network say."""
    return with_stack(folder, to, inputs=["statement"], weights=[0.001], bias=bias, **changes)


def built(encoder: Path | str, **params: Any) -> Any:
    return plugin(plugin.Params(encoder=str(encoder), **params), Resources())


def examined(check: Any, text: str, evidence: Evidence | None = None) -> list[Result]:
    """The check's answers to all segments at once, with those before each standing."""
    found, memo = segments(text), {}  # type: ignore[var-annotated]
    evidence = evidence or given_evidence()

    async def run() -> list[Result]:
        pending = [check.examine(one, behind(found[:at], evidence, memo)) for at, one in enumerate(found)]
        return list(await asyncio.gather(*pending))

    return asyncio.run(run())


def looked(text: str) -> Any:
    """What the trees make of a statement that nothing stands before."""
    return CHECK._look(segments(text)[0], behind([], given_evidence(), {}))


def units_of(look: Any) -> list[str]:
    """The evidence nearest to it."""
    return [look.index.units[number].text for number in nearest(look.said, look.index)]


def grounded(to: Path, encoder: Path, patient: bool = False) -> str:
    """The policy; `patient` for a machine that has other things to do."""
    most = 60_000 if patient else 2000
    check = {"check": "grounding", "encoder": str(encoder), "flag_at": 0.3, "interrupt_at": 0.6, "deadline_ms": most}
    watch = {"content": {"release": "checked", "correct": "retract", "max_hold_ms": most + 500}}
    return policy_file(to, "grounded", checks=[check], watch=watch)
