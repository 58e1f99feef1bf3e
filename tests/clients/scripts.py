"""What is asked, what the scripted upstream says to it, and what guard makes of that.

The scripts run under the shipped `default` policy with the built-in world's facts, which know where these people were
born. Knows no client and no server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["ask", "tools", "structured", "leave"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One thing that every client is taken through.

    Attributes:
        title: the head of its column.
        kind: what the client does.
        scripted: the question to the scripted upstream; `world`: to the built-in model, "" where it cannot be asked.
        says: what it leads to, for the reader of the table.
    """

    name: str
    title: str
    kind: Kind
    scripted: str
    world: str = ""
    says: str


UNKNOWN = "What is the birth country of Ada Velm?"
KNOWN = "What is the birth country of Doran Castor?"

SCENARIOS = (
    Scenario(
        name="plain",
        title="plain",
        kind="ask",
        scripted="Say hello.",
        world=KNOWN,
        says="it arrives as it was said",
    ),
    Scenario(
        name="tools",
        title="tools",
        kind="tools",
        scripted="What is the weather in Paris and Oslo?",
        says="two parallel calls arrive whole, and so does the answer to their results",
    ),
    Scenario(
        name="structured",
        title="JSON schema",
        kind="structured",
        scripted="Who lives in Velwick? Answer in JSON.",
        says="the content is one object of the schema",
    ),
    Scenario(
        name="reasoning",
        title="reasoning",
        kind="ask",
        scripted="Think it over.",
        world=KNOWN,
        says="it arrives apart from the content (*kept out*: this client does not show reasoning)",
    ),
    Scenario(
        name="interruption",
        title="interrupted",
        kind="ask",
        scripted=UNKNOWN,
        world=UNKNOWN,
        says='a false statement in the reasoning is followed by "No, ...", and the content is the corrected answer',
    ),
    Scenario(
        name="retraction",
        title="retracted",
        kind="ask",
        scripted="Tell me of Corin Rusk.",
        says="a false statement in the content is replaced and never seen",
    ),
    Scenario(
        name="error",
        title="error",
        kind="ask",
        scripted="Break off.",
        says="an upstream that breaks off is an error that the client raises or tells, and nothing hangs",
    ),
    Scenario(
        name="leaving",
        title="leaving",
        kind="leave",
        scripted="Where was Petra Tallow born?",
        says="a client that goes in mid-answer ends the upstream's answer too, and the log has what was",
    ),
)

PLAIN = "Hello there. How are you today?"
WEATHER = "It rains in Paris. It snows in Oslo."
PERSON = {"name": "Petra Tallow", "town": "Velwick"}
THOUGHT, THOUGHT_OUT = "Let me see. It is simple.", "It is done."
CLAIM = "Ada Velm was born in Dundal."
NO = "No, Ada Velm was not born in Dundal. Ada Velm was born in Velwick."
CORRECTED = "She is from Thuria."
FALSE_TOWN, RETRACTED = "Dundal", "Corin Rusk was born in Velwick. He bakes bread."


def _answer(when: str, *steps: dict[str, Any], after: str = "") -> dict[str, Any]:
    return {"when": when, "after": after, "cut": 5, "attempts": [list(steps)]}


def _said(**texts: str) -> list[dict[str, Any]]:
    return [*({channel: text} for channel, text in texts.items()), {"finish": "stop"}]


_CALLS = [
    {"tool": {"index": index, "id": f"call_{index}", "name": "weather", "arguments": f'{{"city": "{city}"}}'}}
    for index, city in enumerate(("Paris", "Oslo"))
]
_FOREVER = {"wait_ms": 600_000}

ANSWERS = [
    # What the upstream is asked again with, once it was interrupted, comes first: it names these people too.
    _answer("Ada Velm was born in Velwick", *_said(reasoning="Velwick is in Thuria.", content=CORRECTED)),
    _answer("Corin Rusk was born in Velwick", *_said(content="He bakes bread.")),
    _answer("Petra Tallow was born in Velwick", {"content": "It is known. It is"}, _FOREVER),
    _answer("hello", *_said(content=PLAIN)),
    _answer("weather", *_said(content=WEATHER), after="tool"),
    _answer("weather", *_CALLS, {"finish": "tool_calls"}),
    _answer("JSON", *_said(content='{"name": "Petra Tallow", "town": "Velwick"}')),
    _answer("Think", *_said(reasoning=THOUGHT, content=THOUGHT_OUT)),
    _answer("Ada Velm", *_said(reasoning=f"{CLAIM} So it is Ostria.", content="She is from Ostria.")),
    _answer("Corin Rusk", *_said(content="Corin Rusk was born in Dundal. He bakes bread.")),
    _answer("Break", {"content": "It begins. It goes on. It"}, {"error": {"status": 500, "message": "out of luck"}}),
    _answer("Petra Tallow", {"reasoning": "Petra Tallow was born in Dundal. So"}, _FOREVER),
]
