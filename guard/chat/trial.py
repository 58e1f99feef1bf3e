"""Whether a server goes on with an unfinished message: the question that tells, and how its answers are read.

Servers answer 200 and ignore what they do not know, so each dialect is tried on words that nobody can guess. Pure: who
asks draws the words. Rules:
  The question demands that every message begin with the first word, and the unfinished message ends inside the third.
  Only a server that lets the model go on brings the rest of the third word first; a new message begins with the first.
  Models that do not follow instructions say neither. Then the count of prompt tokens decides: repeated words of known
  number are the unfinished message, so that its price without its text shows (`overhead`). A message that is left open
  costs nothing besides its text, or less than nothing where the prompt of a new one would open a thinking block; one
  that is closed costs its end and the beginning of the next, one token at least (Mistral's templates). So content is
  accepted at 0 and below. An empty thinking block that a template writes before continued content looks like a new
  message there: only the words can tell, or a server that shows its prompt (llama.cpp's); otherwise it is not
  supported.
  Open reasoning may cost its opening tag, two tokens, and must have come back as reasoning; closed, it would cost at
  least three.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from guard.chat.prefill import Dialect
from guard.core.types import Channel

Verdict = Literal["continues", "restarts", "misfiled", "refused", "undecided"]
"""`misfiled`: it goes on, but in the other channel."""

WORDS = 5
"""How many words a trial needs; each of `LETTERS` letters."""

LETTERS = 8
COUNTS = (8, 24)
"""How many words the two messages have that are weighed."""

_OPENING_TAG = 2  # tokens of an opening tag and its line end


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: text by channel, the field reasoning came in, and the prompt's tokens where it was told."""

    reasoning: str = ""
    content: str = ""
    form: str = ""
    prompt_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A dialect that was tried. `inline`: open reasoning went on as content, in front of its closing tag."""

    dialect: Dialect
    verdict: Verdict
    why: str
    inline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """How one channel is gone on with by prefill: the dialect, or None and why not; and all that was tried.

    `inline`: open reasoning goes on as content, in front of its closing tag.
    """

    dialect: Dialect | None
    why: str
    inline: bool = False
    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What is known of a model at a server; None: not tried yet."""

    content: Ability | None = None
    reasoning: Ability | None = None


@dataclass(frozen=True, slots=True)
class Codes:
    """The words of one trial."""

    words: Sequence[str]

    @property
    def question(self) -> str:
        """What the user asks."""
        return (
            "Repeat these codes in order, separated by single spaces, and say nothing else, neither in your thoughts "
            f"nor in your answer. Begin every message with the first code: {' '.join(self.words)}"
        )

    @property
    def given(self) -> str:
        """The unfinished message."""
        return f"{self.words[0]} {self.words[1]} {self.words[2][: LETTERS // 2]}"

    @property
    def rest(self) -> str:
        """What only a continuation begins with."""
        return self.words[2][LETTERS // 2 :]


def judge(codes: Codes, channel: Channel, dialect: Dialect, reply: Reply) -> Trial:
    """Read the answer to an unfinished message in `channel`."""
    thought, said = reply.reasoning.lstrip(), reply.content.lstrip()
    verdict: Verdict
    inline = False
    if channel == "reasoning" and (thought or said).startswith(codes.rest):
        inline = not thought
        verdict, why = "continues", "goes on with the codes" + (", as content" if inline else "")
    elif channel == "content" and not thought and said.startswith(codes.rest):
        verdict, why = "continues", "goes on with the codes"
    elif thought.startswith(codes.rest):
        verdict, why = "misfiled", "goes on, but as reasoning"
    elif re.match(rf"\W*{codes.words[0]}", thought or said):
        verdict, why = "restarts", "begins with the first code again"
    elif channel == "content" and thought:
        verdict, why = "restarts", "thinks anew"
    else:
        verdict, why = "undecided", "follows no instruction" if thought or said else "says nothing"
    return Trial(dialect=dialect, verdict=verdict, why=why, inline=inline)


def weight(count: int) -> str:
    """An unfinished message of so many words, each one token or a few, but all the same."""
    return " ".join(["one"] * count)


def rendered(trial: Trial, codes: Codes, reply: Reply, channel: Channel, prompt: str) -> Trial:
    """Settle an undecided trial by the prompt that the server says it makes of it."""
    if not prompt.rstrip().endswith(codes.given):
        return Trial(dialect=trial.dialect, verdict="restarts", why="its prompt does not end in the unfinished message")
    inline = channel == "reasoning" and not reply.reasoning
    if channel == "content" and reply.reasoning:
        return Trial(dialect=trial.dialect, verdict="misfiled", why="the reply is reasoning")
    why = "its prompt ends in the unfinished message" + (", the reply is content" if inline else "")
    return Trial(dialect=trial.dialect, verdict="continues", why=why, inline=inline)


def overhead(bare: int | None, light: int | None, heavy: int | None) -> int | None:
    """Tokens that an unfinished message costs besides its text, from the prompt tokens without it and with either of
    `COUNTS` words. None where they are not told or do not grow with the text."""
    if bare is None or light is None or heavy is None:
        return None
    each, odd = divmod(heavy - light, COUNTS[1] - COUNTS[0])
    return None if odd or each < 1 else light - bare - COUNTS[0] * each


def weighed(trial: Trial, channel: Channel, reply: Reply, over: int | None) -> Trial:
    """Settle an undecided trial by what an unfinished message costs; `reply` is the answer it left undecided."""
    if over is None:
        why = f"{trial.why}, and the count of prompt tokens does not tell either"
        return Trial(dialect=trial.dialect, verdict="undecided", why=why)
    limit = _OPENING_TAG if channel == "reasoning" else 0
    if over > limit:
        why = f"an unfinished message costs {over} tokens besides its text, as a finished one would"
        return Trial(dialect=trial.dialect, verdict="restarts", why=why)
    if channel == "reasoning" and not reply.reasoning:
        return Trial(dialect=trial.dialect, verdict="misfiled", why="the reply is not reasoning")
    if channel == "content" and reply.reasoning:
        return Trial(dialect=trial.dialect, verdict="misfiled", why="the reply is reasoning")
    return Trial(dialect=trial.dialect, verdict="continues", why="an unfinished message costs its text alone")
