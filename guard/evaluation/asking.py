"""The models that checks may ask while labelled text plays: a supervisor, and the policy model once more.

Knows how they are started and what went wrong with them; knows no checks and no labels. Rules:
  One that does not answer at the start is an error at once: a measurement of failures measures nothing.
  What fails later leaves its segment unscanned, as in live traffic; the reasons are kept, for who reads the figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from guard.asking import Again
from guard.backends import Backend, ChatRequest
from guard.errors import ConfigError
from guard.supervisor import ModelSupervisor


@dataclass(slots=True, kw_only=True)
class Models:
    """Who may be asked.

    Attributes:
        supervisor: the one that the policy's checks were built with.
        policy_model: is asked how a text might go on; `name` is the model that it is asked for.
        at_once: rows that play beside each other, so that a slow model is kept busy.
        failed: by check and reason, how often one of them could not answer.
    """

    supervisor: ModelSupervisor | None = None
    policy_model: Backend | None = None
    name: str = ""
    at_once: int = 1
    failed: Counter[str] = field(default_factory=Counter)

    async def start(self) -> None:
        """Load or connect. Raises ConfigError for one that does not answer."""
        for what, part in self._parts():
            await part.start()
            told = await part.ready()
            if not told["ok"]:
                where = told.get("base_url") or told.get("model") or "as configured"
                raise ConfigError(f"the {what} {where!r} does not answer; start it, or correct its address")

    async def close(self) -> None:
        """Let go of everything. Safe where nothing was started."""
        for _, part in self._parts():
            await part.close()

    def again(self, messages: Sequence[Mapping[str, str]]) -> Again | None:
        """How the policy model goes on behind these messages; None where there is none, or nothing to ask it."""
        if self.policy_model is None or not messages:
            return None
        return Again(self.policy_model, ChatRequest(body={"model": self.name, "messages": list(messages)}, id="eval"))

    def _parts(self) -> Sequence[tuple[str, ModelSupervisor | Backend]]:
        parts = (("supervisor", self.supervisor), ("policy model", self.policy_model))
        return [(what, part) for what, part in parts if part is not None]
