"""The tools a generator may call: exact arithmetic, and a look-up in the facts.

Knows OpenAI's form of tools and calls. Rules: what a model wrote is untrusted, so a call that is none (no such tool,
arguments that are no JSON, a sum that cannot be worked out) is answered with what is wrong with it, and never raises.
Where the facts are withheld, a look-up finds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from guard.checks.arithmetic.expression import value_of
from guard.checks.arithmetic.meaning import tokenise
from guard.core.types import ToolCall
from guard.train.transcripts.library import Library

LONGEST = 2_000
"""Characters of an argument."""


def _tool(name: str, description: str, argument: str, what: str) -> dict[str, Any]:
    properties = {argument: {"type": "string", "description": what}}
    schema = {"type": "object", "properties": properties, "required": [argument], "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


ARITHMETIC = _tool(
    "arithmetic",
    "Works out an expression exactly: + - * / ^ ( ) % and numbers.",
    "expression",
    "Such as 12.5 * (3 + 4) / 2; a dot is a decimal point.",
)
LOOKUP = _tool("lookup", "Tells what is known of one thing.", "name", "The thing's name, and nothing else.")


class Toolbox:
    """The tools for one question: `lookup` where there is a library, which finds nothing if it is `withheld`."""

    def __init__(self, library: Library | None, *, withheld: bool = False) -> None:
        self._library = library
        self._withheld = withheld

    @property
    def definitions(self) -> Sequence[dict[str, Any]]:
        """As a request carries them."""
        return [ARITHMETIC] if self._library is None else [ARITHMETIC, LOOKUP]

    def run(self, call: ToolCall) -> str:
        """What the tool answers; begins with "error:" where it cannot."""
        known = {tool["function"]["name"]: tool["function"]["parameters"]["required"][0] for tool in self.definitions}
        if call.name not in known:
            return f"error: there is no such tool; there are {', '.join(known)}"
        argument = _argument(call.arguments, known[call.name])
        if argument is None:
            return f'error: the arguments must be one JSON object such as {{"{known[call.name]}": "..."}}'
        return _worked_out(argument) if call.name == "arithmetic" else self._found(argument)

    def _found(self, name: str) -> str:
        told = [] if self._withheld or self._library is None else self._library.about(name)
        return " ".join(told) or f"Nothing is known of {name!r}."


def _argument(arguments: str, name: str) -> str | None:
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    said = value.get(name) if isinstance(value, dict) and len(value) == 1 else None
    return said if isinstance(said, str) and 0 < len(said) <= LONGEST else None


def _worked_out(expression: str) -> str:
    value = value_of(tokenise(expression))
    if value is None:
        return "error: that cannot be worked out; write numbers, + - * / ^ and brackets, and no names"
    return exactly(value)


def exactly(value: Fraction) -> str:
    """A number in digits where they end, else as a fraction with about what it is."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, places = value.denominator, 0
    while rest % 2 == 0 or rest % 5 == 0:
        rest //= next(prime for prime in (10, 2, 5) if rest % prime == 0)
        places += 1
    if rest > 1 or places > 30:
        return f"{value.numerator}/{value.denominator} (about {_about(value)})"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _about(value: Fraction) -> str:
    try:
        return f"{float(value):.10g}"
    except OverflowError:
        return f"10^{len(str(abs(value.numerator))) - len(str(value.denominator))}"
