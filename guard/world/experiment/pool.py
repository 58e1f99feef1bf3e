"""A policy model in memory for very many sessions at once: what every one of them waits for is drawn in one batch.

A `guard.backends.Turn` like those of the backends, so that the sessions, checks and records over it are the real
ones. It draws a whole turn ahead and brings it in one piece; a session cuts where it would have cut the stream. Knows
tokens and channels; knows no policy and no facts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from guard.backends import Batch, Item
from guard.core.events import Delta, Finished, Opened
from guard.core.turn import Text
from guard.core.types import Resume, Token
from guard.world.corpus import END, prompt
from guard.world.experiment.sampling import Drawn, Sampling, draw
from guard.world.experiment.speech import CLOSE, Speaker

_QUIET = 3
"""Rounds of the event loop without a new wish, after which what is wished for is drawn."""


class Pool:
    """Draws for all turns that wait, together. Draws block the event loop: nothing else runs on it.

    A turn begins at `temperature` and goes on behind an interruption at `after`: what is wanted are many different
    mistakes, and continuations of the corrections that do not make new ones.
    """

    def __init__(
        self, speaker: Speaker, *, temperature: float, seed: int, top: int, after: float | None = None
    ) -> None:
        self.speaker = speaker
        self._temperatures = temperature, temperature if after is None else after
        self._seed = seed
        self._top = top
        self._wishes: list[tuple[list[int], bool, asyncio.Future[Drawn]]] = []
        self._drawing: asyncio.Task[None] | None = None

    async def go_on(self, ids: list[int], *, resumed: bool) -> Drawn:
        """What the model goes on with behind these ids, to the end of its turn."""
        wish: asyncio.Future[Drawn] = asyncio.get_running_loop().create_future()
        self._wishes.append((ids, resumed, wish))
        if self._drawing is None:
            self._drawing = asyncio.create_task(self._draw())
        return await wish

    async def _draw(self) -> None:
        quiet, before = 0, 0
        while quiet < _QUIET:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._wishes) == before else 0
            before = len(self._wishes)
        wishes, self._wishes, self._drawing = self._wishes, [], None
        for resumed in (False, True):
            self._draw_part([(ids, wish) for ids, goes_on, wish in wishes if goes_on is resumed], resumed)

    def _draw_part(self, wishes: list[tuple[list[int], asyncio.Future[Drawn]]], resumed: bool) -> None:
        self._seed += 1
        how = Sampling(
            ends=self.speaker.ends(), temperature=self._temperatures[resumed], seed=self._seed, top=self._top
        )
        for (_, wish), drawn in zip(wishes, draw(self.speaker.model, [ids for ids, _ in wishes], how), strict=True):
            if not wish.cancelled():
                wish.set_result(drawn)


@dataclass(slots=True)
class PooledTurn:
    """One question to the model.

    Attributes:
        thoughts: by attempt, the character of the reasoning it began at and all that it thought, whether it was cut
            or not.
    """

    pool: Pool
    question: str
    headers: Mapping[str, str] = field(default_factory=dict)
    thoughts: dict[int, tuple[int, str]] = field(default_factory=dict)

    async def attempt(self, number: int, choice: int = 0, resume: Resume | None = None) -> AsyncIterator[Batch]:
        """The turn, or its rest behind what was kept, in one batch."""
        drawn = await self.pool.go_on(self._context(resume), resumed=resume is not None)
        thinking = resume is None or resume.open_channel == "reasoning"
        items: list[Item] = [(choice, Opened(number, None if resume is None else "text_exact"))]
        texts = self._texts(drawn, thinking)
        items += [(choice, Delta(number, channel, token.text, tokens=(token,))) for channel, token in texts]
        items.append((choice, Finished(number, "stop" if drawn.ids[-1] in self.pool.speaker.ends() else "length")))
        start = 0 if resume is None else len(resume.kept.get("reasoning", ""))
        self.thoughts[number] = start, "".join(token.text for channel, token in texts if channel == "reasoning")
        yield items

    async def close(self) -> None:
        """Nothing is held."""

    def rest(self, attempt: int, at: int) -> str:
        """The reasoning behind character `at` as this attempt would have had it."""
        start, text = self.thoughts[attempt]
        return text[at - start :]

    def _context(self, resume: Resume | None) -> list[int]:
        encode = self.pool.speaker.encode
        ids = encode(prompt(self.question))
        if resume is None:
            return ids
        channels: tuple[Text, ...] = ("reasoning", "content")
        for channel in channels:
            text = resume.kept.get(channel, "")
            own = text.removesuffix(resume.put_in) if channel == resume.open_channel else text
            ids += encode(own)
            if channel == resume.open_channel:
                return ids + encode(resume.put_in)
            ids += encode(CLOSE)
        return ids

    def _texts(self, drawn: Drawn, thinking: bool) -> list[tuple[Text, Token]]:
        speaker = self.pool.speaker
        channel: Text = "reasoning" if thinking else "content"
        found: list[tuple[Text, Token]] = []
        for id_, logprob, top in zip(drawn.ids, drawn.logprobs, drawn.top, strict=True):
            text = str(speaker.tokenizer.decode([id_]))
            if text == CLOSE and channel == "reasoning":
                channel = "content"
            elif text != END:
                found.append((channel, Token(id=id_, text=text, logprob=logprob, top=top)))
        return found
