"""The token ids of a turn as its upstream told them, and the prompt that continues a cut turn from those very ids.

Pure. vLLM and SGLang tell ids where asked (`return_token_ids`): the prompt's in the first chunk, each delta's beside
its text. It knows no tokenizer; what guard puts in is encoded by the caller's function. Rules:
  What is kept is the model's own ids; only guard's text, and the kept part of a delta in whose middle the cut falls,
  are encoded anew, as one text.
  Ids without text (tags that a parser took out) stay with what stands before them, and go with what was cut.
  The ids' text is compared with the text that is to be kept. If they are not the same there is no such prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from guard.chat.chunks import Choice, Chunk, texts
from guard.chat.tags import Start, TagSplitter
from guard.core.types import Channel, Resume

Encode = Callable[[str], list[int]]
Decode = Callable[[Sequence[int]], str]


class Entry(NamedTuple):
    """The ids of one delta, and its text by channel."""

    ids: tuple[int, ...]
    reasoning: str = ""
    content: str = ""


@dataclass(slots=True)
class Tape:
    """One choice: the prompt's ids, what is kept of earlier attempts, and the deltas of the one that runs.

    `start` says how the content of the running attempt may open with reasoning between tags (None: it is all content).
    """

    prompt: tuple[int, ...] = ()
    kept: tuple[Entry, ...] = ()
    start: Start | None = None
    running: list[Entry] = field(default_factory=list)

    def entries(self, tags: tuple[str, str]) -> list[Entry]:
        """All of the turn, every text in its channel."""
        if self.start is None or any(entry.reasoning for entry in self.running):
            return [*self.kept, *self.running]
        return [*self.kept, *_split(self.running, TagSplitter(tags, self.start))]


class Collector:
    """Takes the ids out of the chunks of one attempt.

    Args:
        tapes: the upstream's index of each choice -> where its ids go.
        strip: the client did not ask for ids and does not get them; a later attempt has nothing to strip.
    """

    def __init__(self, tapes: Mapping[int, Tape], *, strip: bool) -> None:
        self._tapes = tapes
        self._strip = strip

    def take(self, chunk: Chunk, data: bytes, raw: bytes | None) -> tuple[bytes, bytes | None]:
        """Note the ids of an event; its data and its bytes (None stays None) for the client."""
        prompt = _ids(chunk.prompt_token_ids)
        for choice in chunk.choices or ():
            tape = self._tapes.get(choice.index or 0)
            if tape is not None:
                tape.prompt = tape.prompt or _ids(choice.prompt_token_ids)
                self._note(tape, choice)
        for tape in self._tapes.values() if prompt else ():
            tape.prompt = tape.prompt or prompt
        if not self._strip:
            return data, raw
        data = _without_ids(data)
        return data, None if raw is None else b"data: " + data + b"\n\n"

    def _note(self, tape: Tape, choice: Choice) -> None:
        said = {"reasoning": "", "content": ""}
        for channel, text, _ in texts(choice):
            said[channel] += text
        ids = _ids(choice.token_ids)
        if ids or any(said.values()):
            tape.running.append(Entry(ids, said["reasoning"], said["content"]))


def splice(
    tape: Tape, resume: Resume, tags: tuple[str, str], encode: Encode, decode: Decode
) -> tuple[tuple[int, ...], Tape] | None:
    """The prompt that continues the turn, and the tape of the attempt that does; None where the ids do not tell."""
    channel: Channel = resume.open_channel
    wanted = {name: resume.kept.get(name, "") for name in ("reasoning", "content")}
    if not tape.prompt or channel not in wanted or not wanted[channel].endswith(resume.put_in):
        return None
    wanted[channel] = wanted[channel].removesuffix(resume.put_in) if resume.put_in else wanted[channel]
    kept, rest = _until(tape.entries(tags), channel, wanted[channel], decode)
    if kept is None or any(_joined(kept, name) + (rest if name == channel else "") != wanted[name] for name in wanted):
        return None
    if any(not entry.ids for entry in kept):
        return None
    if put_in := rest + resume.put_in:
        guards = Entry(tuple(encode(put_in)), **{channel: put_in})
        kept.append(guards)
    ids = tape.prompt + tuple(id_ for entry in kept for id_ in entry.ids)
    return ids, Tape(prompt=tape.prompt, kept=tuple(kept))


def _until(entries: list[Entry], channel: str, wanted: str, decode: Decode) -> tuple[list[Entry] | None, str]:
    """The entries before the cut, and the text of the next one's kept part."""
    kept: list[Entry] = []
    left = len(wanted)
    for entry in entries:
        text = entry.content if channel == "content" else entry.reasoning
        # At a channel's start everything before its first text stands: a tag that opens it, what closes the one before.
        behind = not left and (wanted or text or (channel == "reasoning" and entry.content))
        if behind:
            return (kept if wanted or _plain(entry, decode) else None), ""
        if len(text) > left:
            own = _plain(entry, decode)
            return (kept if own else None), text[:left]
        kept.append(entry)
        left -= len(text)
        if text and not left and not decode(entry.ids).endswith(text):  # a tag behind it is not kept
            return None, ""
    return (kept if not left else None), ""


def _plain(entry: Entry, decode: Decode) -> bool:
    """Whether the ids are those of one text and no more."""
    return not (entry.reasoning and entry.content) and decode(entry.ids) == entry.reasoning + entry.content


def _joined(entries: Sequence[Entry], channel: str) -> str:
    return "".join(entry.content if channel == "content" else entry.reasoning for entry in entries)


def _split(entries: Sequence[Entry], splitter: TagSplitter) -> list[Entry]:
    """Raw text with its tags -> each entry's share of the channels."""
    joined = "".join(entry.content for entry in entries)
    spans: dict[str, tuple[int, int]] = {}
    at = 0
    for kind, text, _ in [*splitter.feed(joined), *splitter.flush()]:
        spans[kind] = (spans.get(kind, (at, at))[0], at + len(text))
        at += len(text)
    found, at = [], 0
    for entry in entries:
        end = at + len(entry.content)
        share = {name: _overlap(joined, spans.get(name, (0, 0)), at, end) for name in ("reasoning", "content")}
        found.append(Entry(entry.ids, **share))
        at = end
    return found


def _overlap(text: str, span: tuple[int, int], start: int, end: int) -> str:
    return text[max(span[0], start) : min(span[1], end)] if max(span[0], start) < min(span[1], end) else ""


def _ids(told: Any) -> tuple[int, ...]:
    good = isinstance(told, list) and all(type(id_) is int for id_ in told)
    return tuple(told) if good else ()


def _without_ids(data: bytes) -> bytes:
    document = msgspec.json.decode(data)
    document.pop("prompt_token_ids", None)
    for choice in document.get("choices") or ():
        choice.pop("token_ids", None)
        choice.pop("prompt_token_ids", None)
    return msgspec.json.encode(document)
