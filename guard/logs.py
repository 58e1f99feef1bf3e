"""What the server says of itself on standard error: one line an event, for people (`text`) or machines (`json`).

Knows the logging module and the forms of keys, and no requests. A record's `fields` (`extra={"fields": {...}}`) are
told beside its message. Rules:

- Whatever a message, a value or a traceback holds, no key leaves here: none that the log's redactor knows by its form,
  and nothing that its place gives away (behind `Authorization` or `Cookie`, in a URL before the host or in a parameter
  that is named like a secret).
- Only guard ends a line: what cannot be printed is escaped, and a traceback's lines stand behind a bar.
- A line is bounded, and a message that cannot be put together is told as it stands.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from guard.errors import ConfigError
from guard.store import redactor

LONGEST = 8000
"""Characters of a message, of a value or of a traceback; so many times eight are looked at."""

HIDDEN = "<KEY>"

_FORMS = tuple((cues, form) for kind, cues, form in redactor._SECRETS if kind == "KEY")
_QUOTE = r"[\"'\\\])]{0,4}\s{0,3}[:=,]\s{0,3}(?:b?[\"'\\]{1,4})?"
_PLACES = tuple(
    (cues, re.compile(form))
    for cues, form in (
        (("uthorization", "UTHORIZATION"), rf"(?i:authorization{_QUOTE}(?P<v>digest[^\r\n]*|[^\r\n\"']+))"),
        (("ookie", "OOKIE"), rf"(?i:cookie{_QUOTE}(?P<v>[^\r\n]+))"),
        (("earer", "EARER", "asic", "ASIC"), r"(?i:\b(?:bearer|basic)\s+(?P<v>[\w.~+/-]{6,}=*))"),
        (("ey", "EY", "oken", "OKEN"), rf"(?i:(?:api|admin|access|auth)[_-]?(?:key|token){_QUOTE}(?P<v>[^\s\"',;]+))"),
        (("://",), r"://(?P<v>[^\s/\"'<>]{1,256})@"),
        (("://",), r"://[^\s/:@]{0,256}:(?P<v>\S{1,256})@"),
        (
            ("=",),
            r"(?i:[?&;][\w.-]{0,40}(?:key|token|secret|sig|signature|passw(?:or)?d|pwd|auth|credentials?)"
            r"=(?P<v>[^\s&#\"']+))",
        ),
    )
)
_BAR = "\n  | "


def configure(form: str | None = None, stream: TextIO | None = None) -> None:
    """Log from INFO on to `stream` (standard error), as `form` says: text on a terminal and JSON elsewhere for None.

    Raises ConfigError for a form that there is none of.
    """
    out = sys.stderr if stream is None else stream
    chosen = form or ("text" if out.isatty() else "json")
    if chosen not in _LINES:
        raise ConfigError(f"--log-format {form!r} is none; choose {' or '.join(_LINES)}")
    handler = logging.StreamHandler(out)
    handler.setFormatter(_LINES[chosen]())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # it would print a record that could not be written as it came
    logging.getLogger("alembic").setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """A record as an object of `time` (UTC), `level`, `logger`, `message`, its fields and, of an error, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, ASCII."""
        about = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        told: dict[str, Any] = about | {"message": _message(record)}
        told |= {name: value for name, value in _fields(record).items() if name not in told}
        if trace := _trace(record):
            told["exception"] = trace
        return json.dumps(told)


class TextLines(logging.Formatter):
    """A record as `time LEVEL logger message name=value ...`, times in UTC; a traceback follows behind a bar."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback's."""
        words = [_time(record), record.levelname, record.name, _printable(_message(record))]
        words += [f"{name}={_word(value)}" for name, value in _fields(record).items()]
        lines = _trace(record).split("\n") if record.exc_info else []
        return _BAR.join([" ".join(words), *map(_printable, lines)])


_LINES: Mapping[str, type[logging.Formatter]] = {"json": JsonLines, "text": TextLines}


def scrubbed(text: str) -> str:
    """The text without keys, bounded."""
    text = text[: 8 * LONGEST]
    for cues, form in (*_FORMS, *_PLACES):
        if any(cue in text for cue in cues):
            text = form.sub(_hide, text)
    return text


def _hide(found: re.Match[str]) -> str:
    start, end = (offset - found.start() for offset in found.span("v"))
    return found[0][:start] + HIDDEN + found[0][end:]


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - a wrong argument, or one whose text cannot be had: the words at least are told
        text = str(record.msg) if isinstance(record.msg, str) else type(record.msg).__name__
    return scrubbed(text)[:LONGEST]


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    if not isinstance(fields, Mapping):
        return {}
    return {str(name): _value(value) for name, value in fields.items() if value is not None}


def _value(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float)) else scrubbed(str(value))[:LONGEST]


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info:
        return ""
    return scrubbed(logging.Formatter().formatException(record.exc_info))[-LONGEST:]


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _word(value: Any) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return text if re.fullmatch(r"[\w.:/@+-]+", text, re.ASCII) else json.dumps(text)
