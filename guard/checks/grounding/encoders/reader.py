"""The second look of `grounding`: an encoder by name, its worker and its stack, as one thing that gives probabilities.

Knows names, units and log odds; does not know segments, findings or thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from guard.checks.grounding import stack
from guard.checks.grounding.encoders import Asked, folder_of, version_of
from guard.checks.grounding.encoders.worker import shared
from guard.checks.grounding.pairs import nearest
from guard.checks.grounding.passages import Index
from guard.checks.grounding.statement import Statement, text_of
from guard.checks.grounding.stretches import stretches


class Reader:
    """Reads statements with the encoder `name` beside trees of version `lexical`. Raises ConfigError.

    Attributes:
        ask_from: the trees' probability below which the encoder need not be asked.
        version: changes with any file that a score depends on.
    """

    def __init__(self, name: str, lexical: str) -> None:
        self._name = name
        self._worker = shared(name)
        self._stack = _stack(name, lexical, self._worker.encoder.files)
        self._files = self._worker.encoder.files | ({"stack.json": self._stack.digest} if self._stack.digest else {})
        self.ask_from = self._stack.ask_from
        self.version = version_of(self._files)

    @property
    def about(self) -> Mapping[str, Any]:
        """Its name, the SHA-256 of its files, and what fitting it wrote down."""
        return {"name": self._name, "files": dict(self._files), "about": dict(self._stack.about)}

    async def score(
        self, said: Statement, index: Index, question: str, lexical: float
    ) -> tuple[float, Sequence[tuple[int, int]]]:
        """The probability that a statement is unsupported, from both, and which characters of its text seem so.

        `lexical` is the trees' log odds. Raises EncoderBusy, EncoderError.
        """
        asked = Asked(said.text.strip(), question, [text_of(index, unit) for unit in nearest(said, index)])
        told = await self._worker.score(asked)
        lead = len(said.text) - len(said.text.lstrip())
        marked = [(lead + first, lead + last) for first, last in stretches(told.tokens, told.ranges)]
        return self._stack.score(lexical, told.statement, told.tokens), marked


def _stack(name: str, lexical: str, files: Mapping[str, str]) -> stack.Stack:
    """An encoder of ours is nothing without its stack; a Hugging Face model has none."""
    if "encoder.onnx" not in files:
        return stack.alone
    folder = folder_of(name)
    assert folder is not None  # it was loaded from one
    return stack.load(folder / "stack.json", lexical)
