"""Supervised answers of a model in memory, through the real session, checks and store.

Knows how a request is put together; knows no training. What it leaves behind is a log like any server's: `guard
interruptions`, `guard export` and the exporters read it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from guard.checks import Resources
from guard.core.config import Config
from guard.core.policy import Interrupt, Policy, Recording, Watch
from guard.core.records import Provenance
from guard.core.session import Session
from guard.core.types import Evidence, Interruption, Passage
from guard.core.usage import Ledger
from guard.core.use import CheckUse
from guard.metrics import Metrics
from guard.registry import LoadedPolicy, load_policy
from guard.relay import Out, Relay
from guard.server.journal import Journal
from guard.store import Store
from guard.world.experiment.pool import Pool, PooledTurn
from guard.world.world import Question

AT_ONCE = 512
"""Sessions that run at a time: as many as make a batch worth drawing."""

WORDING = Interrupt(message="No, {correction}", unknown="No, {reason} I do not know that.")
"""What guard puts in. The truth without a denial before it: behind "No, X was not born in W. X" a small model is seen
to go on with another name, one that it was taught to correct."""


def supervision(facts: Path, *, knows: bool, top: int) -> LoadedPolicy:
    """The policy of the harvest: every premise is held against `facts`.

    `knows`: the model knows what it is asked, so a correction names the truth. Else it is told to say that it does
    not know: a correction of what a model does not know would teach it to guess.
    """
    policy = Policy(
        name="harvest" if knows else "harvest-unknown",
        watch={"reasoning": Watch(release="immediate", correct="interrupt")},
        checks=(CheckUse(check="knowledge"),),
        interrupt=WORDING if knows else WORDING.model_copy(update={"message": WORDING.unknown}),
        record=Recording(top_logprobs=top),
    )
    return load_policy(policy, Resources(facts=(facts,)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvester:
    """Asks questions under supervision and writes down what happens.

    Attributes:
        name: of the model, as the records will have it.
        prefix: of the sessions' ids, which must not repeat in a store.
    """

    pool: Pool
    policy: LoadedPolicy
    store: Store
    name: str
    prefix: str
    metrics: Metrics

    async def ask(self, questions: Sequence[Question], progress: Callable[[int], None]) -> None:
        """A supervised answer to each; every record of them is stored when this returns."""
        numbered = list(enumerate(questions))
        for start in range(0, len(numbered), AT_ONCE):
            part = numbered[start : start + AT_ONCE]
            await asyncio.gather(*(self._answer(number, question) for number, question in part))
            progress(len(part))

    async def _answer(self, number: int, question: Question) -> None:
        id_ = f"{self.prefix}-{number:05d}"
        policy, counted = self.policy.policy, self.pool.speaker.encode
        journal = Journal(self.store, self.metrics, self._provenance(id_, question), policy, 1)
        turn = PooledTurn(self.pool, question.text)
        cuts: list[Interruption] = []

        async def record(cut: Interruption) -> str | None:
            cuts.append(cut)
            return await journal.record(cut)

        session = Session(
            Config(
                session=id_,
                choice=0,
                policy=policy,
                checks=self.policy.specs,
                count=lambda text: len(counted(text)),
            )
        )
        relay = Relay(
            turn=turn,
            sessions=[session],
            policy=policy,
            checks=self.policy.checks,
            evidence=Evidence(question=question.text, passages=(Passage(source="user", text=question.text),)),
            emit=_nobody,
            record=record,
            ledger=Ledger(),
            observers=[journal],
        )
        await relay.run()
        await journal.close({})
        for cut in cuts:
            # Drawn with the turn, so nobody has to be asked again.
            await self.store.amend(cut.id, counterfactual=turn.rest(cut.attempt, cut.claim.end))

    def _provenance(self, id_: str, question: Question) -> Provenance:
        return Provenance(
            session=id_,
            started=time.time(),
            conversation=id_,
            user="",
            model=self.name,
            policy_model=self.name,
            backend="memory",
            policy=self.policy.policy.name,
            policy_hash=self.policy.hash,
            messages=[{"role": "user", "content": question.text}],
        )


async def _nobody(out: Sequence[Out]) -> None:
    """There is no client to send anything to."""
