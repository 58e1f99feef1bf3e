"""Files that are written whole or not at all.

Rows go to files with other names beside their own; these take their names when the last row is on the disk. An error
leaves what was there before. The names are taken one after the other: after a loss of power between two of them the
sums on the card tell which are of one run.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from guard.errors import ConfigError


@dataclass(slots=True)
class Written:
    """A file: its name, how many rows and bytes (`size`) it has, and the SHA-256 of its bytes."""

    name: str
    file: BinaryIO
    rows: int = 0
    size: int = 0
    sum: Any = field(default_factory=hashlib.sha256)

    def write(self, line: bytes) -> None:
        """Add a row."""
        whole = line + b"\n"
        self.file.write(whole)
        self.sum.update(whole)
        self.rows += 1
        self.size += len(whole)

    @property
    def sha256(self) -> str:
        """Of all that was written, in hexadecimal."""
        return str(self.sum.hexdigest())


@contextmanager
def whole(paths: list[Path], out: Path) -> Iterator[list[Written]]:
    """Files to write, which take the place of those at `paths` when the block ends without an error.

    One that is no plain file (a pipe, a terminal) is written directly. Raises ConfigError, naming `out`: they cannot be
    written.
    """
    parts: dict[Path, Path] = {}
    files: list[Written] = []
    try:
        for path in paths:
            direct = path.exists() and not path.is_file()
            part = path if direct else path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
            files.append(Written(path.name, part.open("wb" if direct else "xb")))
            if not direct:
                parts[part] = path.resolve()
        yield files
        for each in files:
            _flush(each.file)
        for part, path in list(parts.items()):
            part.replace(path)
            del parts[part]
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written: {error.strerror or error}") from None
    finally:
        for each in files:
            with suppress(OSError):
                each.file.close()
        for part in parts:
            part.unlink(missing_ok=True)


def _flush(file: BinaryIO) -> None:
    file.flush()
    with suppress(OSError):  # a pipe has no disk
        os.fsync(file.fileno())
    file.close()
