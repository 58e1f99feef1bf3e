"""One choice of a turn, and one attempt at writing it.

Knows how a token becomes ids, text and events, step by step on the engine's thread. Does not know threads, templates
or other requests. Its rules:

1. Everything a choice owns is touched on the engine's thread only; from outside an attempt is only ever cancelled.
2. `Opened` is handed over with the first token, when the prompt has been read, so that a prompt that breaks still has
   its status; an attempt hands over one `Finished` unless it fails or its reader has gone.
3. The end token is no part of the turn: it is neither in the ids nor in the text.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Listed
from dataclasses import dataclass, field, replace

import torch

from guard.backends.transformers.constraint import Constraint, Grammar, begun
from guard.backends.transformers.fields import Fields
from guard.backends.transformers.grammar import Grammars
from guard.backends.transformers.head import Head
from guard.backends.transformers.mailbox import Mailbox
from guard.backends.transformers.model import LocalModel
from guard.backends.transformers.prompt import Prompt
from guard.backends.transformers.sampling import Sampler, Step
from guard.backends.transformers.sequence import Sequence
from guard.backends.transformers.shelf import Shelf
from guard.backends.transformers.splitter import Tags
from guard.backends.transformers.track import Track
from guard.backends.transformers.vocabulary import Vocabulary
from guard.backends.transformers.writer import Writer
from guard.core.events import Event, Finished, Opened
from guard.core.types import Resume
from guard.errors import GuardError, UpstreamError

_APART = 1_000_003  # torch's generator on the CPU reads 32 bits of a seed only
PIECE = 256
"""Tokens of a prompt that are read at once: others wait for no longer than this takes."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What all turns share.

    `ends`: ids that end a turn; `shelf`: caches of what was looked at before; `head`: the model's probe, if it has one;
    `on_step`: told every token, on the engine's thread.
    """

    model: LocalModel
    vocabulary: Vocabulary
    tags: Tags | None
    ends: frozenset[int]
    grammars: Grammars
    shelf: Shelf
    head: Head | None = None
    on_step: Callable[[Step], None] | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """What all attempts of a turn share; `grammar` is the content's, `before` what the prompt holds of it already."""

    loaded: Loaded
    fields: Fields
    prompt: Prompt
    grammar: Grammar | None = None
    before: str = ""


class Choice:
    """What one choice has written, and the cache that goes with it."""

    def __init__(self, index: int, setting: Setting) -> None:
        self.index = index
        self.track = Track(setting.prompt.channel)
        self.sequence = Sequence(setting.loaded.model)


@dataclass(eq=False, slots=True)
class Attempt:
    """One attempt at one choice: a task of the engine.

    Attributes:
        resume: where to go on, for all but attempt 0. Its text is the turn after the prompt.
        followers: attempts at other choices that start from this one's prompt once it has been read.
        prompt_tokens: the whole context that the attempt began with: prompt, kept and put-in text.
        sampled, reasoning: tokens it chose (the end token included), and those of them in reasoning.
    """

    number: int
    choice: Choice
    setting: Setting
    box: Mailbox
    resume: Resume | None = None
    followers: Listed[Attempt] = ()
    follows: bool = False
    prompt_tokens: int = 0
    sampled: int = 0
    reasoning: int = 0
    _limit: int = 0
    _opened: bool = False
    _finished: bool = False
    _cancelled: bool = False
    _superseded: bool = False
    _writer: Writer | None = None
    _sampler: Sampler | None = field(default=None, repr=False)
    _constraint: Constraint | None = None

    @property
    def over(self) -> bool:
        """Nothing more is to be computed."""
        return self._finished or self._cancelled

    @property
    def ready(self) -> bool:
        """Its reader keeps up, and the prompt it shares has been read."""
        return not self.follows and not self.box.full

    @property
    def reading(self) -> bool:
        """A piece of a prompt comes next."""
        return self._writer is None or self.choice.sequence.pending > 1

    def cancel(self, *, superseded: bool = False) -> None:
        """Compute nothing more (any thread). `superseded`: a later attempt takes its place, and its reader is told
        that it is finished."""
        self._superseded = superseded
        self._cancelled = True

    def leave(self) -> None:
        """It is over: tell a reader that still waits for other choices."""
        if self._superseded and not self._finished:
            self._finished = True
            self._hand([Finished(self.number, "cancelled")])

    def fail(self, error: Exception) -> None:
        """The attempt broke: its reader gets the reason, and nobody trusts its cache."""
        self._finished = True
        self.choice.sequence.drop()
        self.box.fail(translated(error))

    def step(self) -> None:
        """Read a piece of the prompt, or write a token."""
        if self._writer is None:
            self._begin()
        if self._limit <= 0:
            self._share()
            return self._finish("length")
        output = self.choice.sequence.feed(PIECE)
        if output is None:
            return None
        self._share()
        assert self._sampler
        step = self._sampler.pick(output, self.setting.prompt.ids, self.choice.track.ids, self._only())
        return self._take(self._probed(step, output.state))

    def _begin(self) -> None:
        loaded, how, track = self.setting.loaded, self.setting.fields, self.choice.track
        if self.resume is not None:
            track.rewind(self.resume.kept, self.resume.open_channel, loaded.vocabulary, loaded.tags)
        self.prompt_tokens = self._aim()
        self._limit = self._budget()
        self._sampler = Sampler(how.sampling, self._seed(), loaded.model.device)
        self._writer = Writer(self.number, track, loaded.vocabulary, loaded.tags, stops=how.stops, top=how.told)
        self._constraint = self._held()

    def _probed(self, step: Step, state: torch.Tensor | None) -> Step:
        """The step with what the probe makes of the state that it was predicted from."""
        head = self.setting.loaded.head
        return step if head is None or state is None else replace(step, probe=head(state))

    def _held(self) -> Constraint | None:
        """What holds the content to its schema, behind the content that there is."""
        setting, kept = self.setting, "" if self.resume is None else self.resume.kept.get("content", "")
        if setting.grammar is None:
            return None
        return begun(setting.grammar, setting.loaded.vocabulary, setting.before + kept)

    def _only(self) -> torch.Tensor | None:
        """The tokens that may come next; None: all. Reasoning is free, content that a schema holds begins at once."""
        if self._constraint is None or (self._writer and self._writer.channel == "reasoning"):
            return None
        return self._constraint.allowed(self._limit - self.sampled)

    def _aim(self) -> int:
        """Let the sequence be prompt and turn; a follower's is that already, and read."""
        sequence, ids = self.choice.sequence, [*self.setting.prompt.ids, *self.choice.track.ids]
        if not sequence.ids and (alike := self.setting.loaded.shelf.copy(ids)) is not None:
            sequence = self.choice.sequence = alike
        if ids != sequence.ids or self.resume is not None:
            sequence.retarget(ids)
        return len(ids)

    def _budget(self) -> int:
        asked = self.setting.fields.limit if self.resume is None else self.resume.max_tokens
        positions = self.setting.loaded.model.positions
        room = None if positions is None else positions - self.prompt_tokens
        return min(limit for limit in (asked, room, 2**62) if limit is not None)

    def _seed(self) -> int | None:
        """Seed + index. A channel that is written again from its start must not come out the same again."""
        seed = self.setting.fields.seed
        again = self.number * _APART if self.resume is not None and self.resume.restart else 0
        return None if seed is None else seed + self.choice.index + again

    def _share(self) -> None:
        for follower in self.followers:
            follower.choice.sequence = self.choice.sequence.fork()
            follower.follows = False
        self.followers = ()

    def _take(self, step: Step) -> None:
        assert self._writer
        self.sampled += 1
        self.reasoning += self._writer.channel == "reasoning"
        if self.setting.loaded.on_step:
            self.setting.loaded.on_step(step)
        if step.id in self.setting.loaded.ends | self.setting.fields.ends:
            return self._finish("stop", flush=True)
        if self._constraint is not None and self._writer.channel != "reasoning":
            self._constraint.advance(step.id)
        self.choice.sequence.append(step.id)
        self.choice.track.ids.append(step.id)
        deltas, stopped = self._writer.write(step)
        self._hand(deltas)
        if stopped:
            self._finish("stop")
        elif self.sampled >= self._limit:
            self._finish("length", flush=True)
        return None

    def _finish(self, reason: str, *, flush: bool = False) -> None:
        self._finished = True
        rest = self._writer.flush() if flush and self._writer else []
        self._hand([*rest, Finished(self.number, reason)])

    def _hand(self, events: Listed[Event]) -> None:
        opened: list[Event] = [] if self._opened else [Opened(self.number, "token_exact" if self.number else None)]
        self._opened = True
        self.box.put([(self.choice.index, event) for event in (*opened, *events)])


def translated(error: Exception) -> Exception:
    """What broke, as an error of this backend's."""
    if isinstance(error, GuardError):
        return error
    return UpstreamError(f"the local model failed: {type(error).__name__}: {error}", status=500)
