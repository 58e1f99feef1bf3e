"""What a training writes: a folder with a model or its adapter, and reports.

Whether it can be written is asked before anything is trained. Weights are written as safetensors, never pickled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from safetensors import SafetensorError

from guard.errors import ConfigError
from guard.train.loading import said
from guard.train.tuning import Tuning


def writable(out: Path, tuning: Tuning, *, merge: bool) -> None:
    """Raises ConfigError where a model cannot be written there, something is there already, or nothing is to merge."""
    if merge and tuning.rank is None:
        raise ConfigError("--merge merges an adapter, and --full makes none: leave one of them out")
    empty_folder(out)


def empty_folder(out: Path) -> None:
    """Raises ConfigError where a model cannot be written there, or something is there already."""
    with _written(out):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"--out {str(out)!r} is there already: name a new folder")
        open_to_writing(out if out.exists() else out.parent)


def open_to_writing(folder: Path) -> None:
    """Raises ConfigError where nothing can be written into this folder: better before a training than after it."""
    if not folder.is_dir():
        raise ConfigError(f"--out: there is no folder {str(folder)!r}")
    with _written(folder), TemporaryDirectory(dir=folder):
        pass


def save(model: Any, tokenizer: Any, out: Path, *, merge: bool) -> None:
    """Write the model, or its adapter where it has one and `merge` is not said, and the tokenizer."""
    whole = model.merge_and_unload() if merge else model
    with _written(out):
        whole.save_pretrained(out)
        tokenizer.save_pretrained(out)


def write_report(report: Any, path: Path) -> None:
    """Write a report, a dataclass, as JSON."""
    with _written(path):
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


@contextmanager
def _written(out: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written: {said(error)}") from None
