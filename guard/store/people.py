"""What a library and your own patterns find in a text beyond guard's: names, places, national numbers, ticket ids.

`redactors` makes it of the settings, once, at start: loading takes seconds. Rules:

- Nothing is downloaded: a model is installed or a folder, or there is none. spaCy's files hold no pickle.
- Fails closed. A text on which the library fails, or a pattern runs out of time, is withheld whole; the first one is
  told of in the log, by the kind of error alone, and all are counted (`People.withheld`). So is a text longer than
  spaCy takes (1,000,000 characters).
- What was found in a text is remembered for the last few texts: each interruption of a session repeats its messages.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from guard.errors import ConfigError, MissingExtra
from guard.settings import OwnPattern, Redaction, StoreSettings
from guard.store.redactor import Hit, Redactor

log = logging.getLogger("guard")

LIMIT_S = 2.0
"""How long one pattern may look at one text. A library's pattern is given `REGEX_TIMEOUT_SECONDS` of the environment,
or 5 seconds."""

_REMEMBERED, _LONG = 1024, 16_384


def redactors(settings: StoreSettings) -> Callable[[], Redactor]:
    """What makes the redactor of each session.

    Raises:
        ConfigError: a pattern, an entity, a language or the model cannot be used.
        MissingExtra: a package that this needs is not installed.
    """
    finders: list[Callable[[str], Sequence[Hit]]] = []
    if settings.patterns:
        finders.append(Patterns(settings.patterns))
    if settings.redaction:
        finders.append(_library(settings.redaction))
    return partial(Redactor, People(finders)) if finders else Redactor


class People:
    """Several finders as one that never raises, for any number of threads."""

    def __init__(self, finders: Sequence[Callable[[str], Sequence[Hit]]]) -> None:
        self.withheld = 0
        self._finders = finders
        self._remembered = lru_cache(_REMEMBERED)(self._all)

    def __call__(self, text: str) -> Sequence[Hit] | None:
        """What stands in the text, or None where that could not be found out."""
        try:
            return self._all(text) if len(text) > _LONG else self._remembered(text)
        except Exception as error:  # noqa: BLE001 - whatever it is, the text must not be stored unread
            self._tell(error)
            return None

    def _all(self, text: str) -> Sequence[Hit]:
        return tuple(hit for find in self._finders for hit in find(text))

    def _tell(self, error: Exception) -> None:
        self.withheld += 1
        if self.withheld == 1:
            # Not the message: it may quote the text.
            log.warning(
                "a text could not be redacted (%s) and is withheld; so are others like it", type(error).__name__
            )


class Patterns:
    """Your own patterns."""

    def __init__(self, patterns: Sequence[OwnPattern]) -> None:
        engine = _imported("regex", "store.patterns")
        self._patterns = [(own.name, _compiled(engine, own)) for own in patterns]

    def __call__(self, text: str) -> list[Hit]:
        """Where they match. Raises TimeoutError after `LIMIT_S`."""
        return [
            (*match.span(), name)
            for name, pattern in self._patterns
            for match in pattern.finditer(text, timeout=LIMIT_S)
            if match[0]
        ]


def _compiled(engine: Any, own: OwnPattern) -> Any:
    try:
        return engine.compile(own.regex)
    except engine.error as error:
        raise ConfigError(f"store.patterns: {own.regex!r} is no regular expression: {error}") from None


def _imported(module: str, what: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{what} needs {error.name!r}; pip install 'premise-guard[redaction]'") from None


def _library(settings: Redaction) -> Callable[[str], Sequence[Hit]]:
    os.environ.setdefault("REGEX_TIMEOUT_SECONDS", "5")
    found: Callable[[str], Sequence[Hit]] = _imported("guard.store.presidio", "store.redaction").load(settings)
    return found
