"""What stands behind the prompt of one choice: its token ids, the text they spell, and where both can be cut.

Knows ids and characters. Does not know caches, models or events. Its rules:

1. A mark is a place where text can be cut between two tokens: no half character, no half tag lies across it.
2. After `rewind(kept, ...)` the ids spell exactly `kept`; ids before the last fitting mark are those the model wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guard.backends.transformers.splitter import Tags
from guard.backends.transformers.vocabulary import Vocabulary
from guard.core.types import Channel


@dataclass(frozen=True, slots=True)
class Mark:
    """A place to cut: so many ids, so many characters of each channel; `channel` is the open one (None: undecided)."""

    ids: int
    channel: Channel | None
    reasoning: int = 0
    content: int = 0


class Track:
    """One choice's turn, from the end of the prompt on. Not thread-safe: the engine's thread owns it."""

    def __init__(self, channel: Channel | None) -> None:
        self.ids: list[int] = []
        self.marks = [Mark(0, channel)]
        self._text: dict[Channel, list[str]] = {"reasoning": [], "content": []}
        self._size: dict[Channel, int] = {"reasoning": 0, "content": 0}

    @property
    def channel(self) -> Channel | None:
        """The channel that was open at the last mark."""
        return self.marks[-1].channel

    def say(self, channel: Channel, text: str) -> None:
        """Text that the ids so far (perhaps with the next ones) spell."""
        self._text[channel].append(text)
        self._size[channel] += len(text)

    def mark(self, channel: Channel | None) -> None:
        """The ids so far spell the text so far, and nothing else."""
        self.marks.append(Mark(len(self.ids), channel, self._size["reasoning"], self._size["content"]))

    def rewind(
        self, kept: Mapping[Channel, str], open_channel: Channel, vocabulary: Vocabulary, tags: Tags | None
    ) -> None:
        """Cut back to the last mark that agrees with `kept` and spell what is left of it anew, as plain text."""
        kept = {"reasoning": kept.get("reasoning", ""), "content": kept.get("content", "")}
        mark = self._last_fitting(kept, open_channel)
        del self.ids[mark.ids :]
        self.marks = [m for m in self.marks if m.ids <= mark.ids and m != mark] + [mark]
        self.ids += _spell(mark, kept, open_channel, vocabulary, tags)
        self._text = {channel: [text] for channel, text in kept.items()}
        self._size = {channel: len(text) for channel, text in kept.items()}
        if len(self.ids) > mark.ids:
            self.mark(open_channel)

    def _last_fitting(self, kept: Mapping[Channel, str], open_channel: Channel) -> Mark:
        same = {channel: common("".join(self._text[channel]), text) for channel, text in kept.items()}

        def fits(mark: Mark) -> bool:
            if mark.reasoning > same["reasoning"] or mark.content > same["content"]:
                return False
            closed = mark.channel == "content"
            return not closed or (open_channel == "content" and mark.reasoning == len(kept["reasoning"]))

        return next((mark for mark in reversed(self.marks) if fits(mark)), self.marks[0])


def _spell(
    mark: Mark, kept: Mapping[Channel, str], open_channel: Channel, vocabulary: Vocabulary, tags: Tags | None
) -> list[int]:
    reasoning, content = kept["reasoning"][mark.reasoning :], kept["content"][mark.content :]
    if not tags or mark.channel == "content":
        return vocabulary.plain(content) if content else []
    ids: list[int] = []
    opens = mark.channel is None and (open_channel == "reasoning" or bool(reasoning))
    if opens:
        ids += vocabulary.encode(tags[0], first=False)
    ids += vocabulary.plain(reasoning) if reasoning else []
    if open_channel == "content" and (opens or mark.channel == "reasoning"):
        ids += vocabulary.encode(tags[1], first=False)
    return ids + (vocabulary.plain(content) if content else [])


def common(one: str, other: str) -> int:
    """The length of the longest beginning that both have."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
