"""What is done already: a file of JSON lines that only grows, so that a run that was killed goes on where it stood.

A line is ``{"kind": "transcript" | "review", "key", "value"}``, written and flushed to the disk before anything counts
on it. A key names the question, the sample and how it was made, so that lines of other settings stay and are passed
over. Rules: a last line that was torn is cut off when the file is opened; of two lines with the same kind and key the
first counts; one process writes at a time.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from guard.errors import ConfigError

Kind = Literal["transcript", "review"]


class Journal:
    """An open journal. Raises ConfigError: the file cannot be used, or another process writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[tuple[str, str], Mapping[str, Any]] = {}
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise ConfigError(f"{str(path)!r} cannot be written: {error.strerror}") from None
        try:
            _alone(self._file.fileno(), path)
            self._mend()
            for kind, key, value in self._lines():
                self._entries.setdefault((kind, key), value)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def get(self, kind: Kind, key: str) -> Mapping[str, Any] | None:
        """What was written under this key, or None."""
        return self._entries.get((kind, key))

    def add(self, kind: Kind, key: str, value: Mapping[str, Any]) -> None:
        """Write a line; when this returns it is on the disk."""
        line = json.dumps({"kind": kind, "key": key, "value": value}) + "\n"
        try:
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ConfigError(f"{str(self.path)!r} cannot be written: {error.strerror}") from None
        self._entries.setdefault((kind, key), value)

    def _mend(self) -> None:
        """Cut off what stands behind the last line end: the process died while it wrote it."""
        self._file.seek(0)
        whole = self._file.read()
        self._file.truncate(whole.rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)

    def _lines(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            try:
                told = json.loads(line)
                yield told["kind"], told["key"], told["value"]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise ConfigError(
                    f"{str(self.path)!r}, line {number} is no line of a journal; name another folder with --out"
                ) from None


def _alone(number: int, path: Path) -> None:
    """Hold the file for this process, as long as it lives."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(
            f"{str(path)!r} is being written by another run; wait for it, or name another --out"
        ) from None
