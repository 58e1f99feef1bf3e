"""`guard interruptions review` without ids: one statement after the other, a key for each ruling.

With a terminal a key counts at once; without one the same words are read as lines. What is judged is written at once,
so that leaving loses nothing.
"""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from guard.cli.judging import Edit, judgement, whoever
from guard.cli.reading import printable, with_store
from guard.cli.reviewing_text import heading, line, of_interruption, of_segment
from guard.core.records import Ruling
from guard.store import Store, Subject

KEYS = "c confirm, r reject, u unsure, e edit, l label, s skip, z undo, q quit, ? keys"
OF_SEGMENTS = "(of a statement that was let pass: c says that it is right, r that guard missed it)"
VERDICT = "say c, r or u"
_LEAVES = frozenset("szq")
_RULINGS: dict[str, Ruling] = {"c": "confirmed", "r": "rejected", "u": "unsure"}


def review_queue(url: str, reviewer: str | None, limit: int) -> None:
    """Show what this reviewer has not judged, most informative first, and write down what is said of it."""
    name = whoever(reviewer)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # what is no text is no reason to stop
    with_store(url, lambda store: _Review(store, name).run(limit))


class _Review:
    """One sitting."""

    def __init__(self, store: Store, reviewer: str) -> None:
        self._store = store
        self._reviewer = reviewer
        self._ahead: list[Subject] = []
        self._behind: list[Subject] = []
        self._made: Counter[str] = Counter()

    async def run(self, limit: int) -> None:
        """Until nothing is left, or the reviewer leaves."""
        self._ahead = await self._store.queue(self._reviewer, limit)
        if not self._ahead:
            print(f"There is nothing that {line(self._reviewer)} has not judged.")
        else:
            print(f"{KEYS}\n{OF_SEGMENTS}")
        while self._ahead and await self._one(self._ahead[0]):
            pass
        if self._made:
            told = ", ".join(f"{number} {ruling}" for ruling, number in self._made.most_common())
            print(f"{self._made.total()} judged: {told}; {len(self._ahead)} left of this sitting")

    async def _one(self, subject: Subject) -> bool:
        """Show a statement and take what is said of it; returns whether to go on."""
        done = len(self._behind)
        print(f"\n{heading(subject, done + 1, done + len(self._ahead))}")
        print("\n".join(await self._shown(subject)))
        edit, leaving = Edit(), ""
        while True:
            key = _key()
            if key in _RULINGS:
                await self._judge(subject, _RULINGS[key], edit)
                return True
            if edit != Edit() and key in _LEAVES and key != leaving:
                leaving = key
                print(f"the edit is not saved: {VERDICT}, or {key} again to leave without it")
            elif key == "s":
                self._behind.append(self._ahead.pop(0))
                return True
            elif key == "z":
                if await self._undo():
                    return True
            elif key in ("q", ""):
                if edit != Edit() and not key:
                    print("the edit is not saved: there was no verdict")
                return False
            elif key in ("e", "l"):
                edit = _edited(edit, key)
            elif key == "?":
                print(f"{KEYS}\n{OF_SEGMENTS}")
            else:
                print(f"{line(key)!r} means nothing here: {KEYS}")

    async def _shown(self, subject: Subject) -> Iterable[str]:
        said = await self._store.judgements(subject.id)
        if subject.kind == "segment":
            segment = await self._store.segment(subject.id)
            return [] if segment is None else of_segment(segment, said)
        record = await self._store.interruption(subject.id)
        return [] if record is None else of_interruption(record, said)

    async def _judge(self, subject: Subject, ruling: Ruling, edit: Edit) -> None:
        review = await self._store.judge(judgement(subject.id, ruling, self._reviewer, edit))
        print(f"{ruling}; it counts as {review}" if review is not None else "it is not on record any more")
        self._made[ruling] += review is not None
        self._behind.append(self._ahead.pop(0))

    async def _undo(self) -> bool:
        """Take this reviewer's last judgement back and show its statement again, if it was of this sitting."""
        last = await self._store.last_judgement(self._reviewer)
        taken = None if last is None else await self._store.undo(last.id)
        if taken is None:
            print("there is nothing to take back")
            return False
        print(f"taken back: {taken.ruling} of {printable(taken.subject)}")
        if self._made[taken.ruling] and any(subject.id == taken.subject for subject in self._behind):
            self._made[taken.ruling] -= 1
        again = [subject for subject in self._behind if subject.id == taken.subject]
        self._behind = [subject for subject in self._behind if subject.id != taken.subject]
        self._ahead = [*again, *self._ahead]
        return bool(again)


# What is typed


def _edited(edit: Edit, key: str) -> Edit:
    """The edit with what is typed now."""
    if key == "l":
        edit = replace(edit, label=_line("label: "))
    else:
        edit = replace(edit, reason=_line("reason: ") or None, correction=_line("correction: ") or None)
    if edit != Edit():
        print(f"it is written with your verdict: {VERDICT}")
    return edit


def _key() -> str:
    """One key, or the first character of a line that is not empty; "" at the end."""
    if not sys.stdin.isatty():
        while (typed := _typed()) and not typed.strip():
            pass
        return typed.strip()[:1].lower()
    print("> ", end="", flush=True)
    key = _pressed()
    print(key if key.isprintable() else "")
    return "" if key == "\x04" else key.lower()


def _line(prompt: str) -> str:
    """A line without what stands around it."""
    if sys.stdin.isatty():
        print(prompt, end="", flush=True)
    return _typed().strip()


def _typed() -> str:
    """The next line with its end; "" where there are no more."""
    return sys.stdin.readline()


def _pressed() -> str:
    """The next key of a terminal, without Enter."""
    import termios  # not everywhere: without it lines are read
    import tty

    descriptor = sys.stdin.fileno()
    usual = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        return os.read(descriptor, 16).decode(errors="replace")[:1]
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, usual)
