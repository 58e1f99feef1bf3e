"""A progress bar on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function that is told of so many more steps done; 0 of a `total` means that nobody knows it."""
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total or None)
        yield lambda done: progress.advance(task, done)
