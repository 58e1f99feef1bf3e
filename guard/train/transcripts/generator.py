"""From a question to a transcript: the model's notes, its tools, and its turn.

Two ways to look things up. `calls`: the model is given tools (OpenAI's form) and calls them, for at most `rounds`
rounds. `notes`: for a model that knows no tools, what the facts say of the things that the question names is put in
front of it, as "Notes: ...". Evidence that comes with a question is put there in both.

What is kept as context is what the model had before it, notes included, and never the instructions: they are how the
transcript is made, and no part of what is to be learnt. A turn that was cut off, says nothing, or is still calling
tools after the last round is told as it is and is no transcript.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from guard.core.types import ToolCall
from guard.train.transcripts.caller import Caller, Said, Tokens
from guard.train.transcripts.library import Library
from guard.train.transcripts.questions import Question, digest
from guard.train.transcripts.tools import Toolbox

Retrieval = Literal["calls", "notes"]

VERSION = 1
"""Of what a generator makes of the same question and settings; raised when that changes."""

INSTRUCTIONS = """\
Think before you answer. State only what the notes, a tool's result or plain reasoning supports. Look up what you are \
not sure of, and work out sums with the tool if there is one. If something that you wrote turns out to be wrong, say \
so at once ("No, ...") and go on from what is right. Where notes and tools do not tell, say that you do not know. \
Never write a tool's result yourself. Answer the question that was asked, and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How transcripts are made.

    `instructions` go in front of the conversation ("" puts nothing there). `fields` go with every request (temperature,
    max_tokens). `seed`: of everything drawn, or None: nothing is asked for.
    """

    retrieval: Retrieval = "calls"
    rounds: int = 4
    instructions: str = INSTRUCTIONS
    fields: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What a model made of a question.

    Attributes:
        messages: the context as the model had it, without instructions.
        turn: the assistant's and the tools' messages behind it; the last is the answer.
        tools: the tools that it could call.
        why: why it is no transcript, or "".
    """

    messages: Sequence[Mapping[str, Any]]
    turn: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]
    why: str
    tokens: Tokens

    @property
    def reasoning(self) -> str:
        """All that the model thought, in one text."""
        return "\n".join(said for m in self.turn if (said := m.get("reasoning_content")))

    @property
    def content(self) -> str:
        """The answer."""
        return str(self.turn[-1].get("content") or "") if self.turn else ""

    @property
    def written(self) -> str:
        """All that the model wrote, calls included."""
        calls = [str(call["function"]) for m in self.turn for call in m.get("tool_calls", ())]
        said = [str(m.get("content") or "") for m in self.turn if m["role"] == "assistant"]
        return "\n".join((self.reasoning, *said, *calls))

    @property
    def results(self) -> Sequence[str]:
        """What the tools answered."""
        return [str(message["content"]) for message in self.turn if message["role"] == "tool"]


class Generator:
    """Makes transcripts with one model."""

    def __init__(self, caller: Caller, library: Library | None, making: Making) -> None:
        self.caller = caller
        self.making = making
        self._library = library

    def digest(self, about: object) -> str:
        """What tells what it makes from what another makes; `about` is all that is to be known of its model."""
        made = (self.making.retrieval, self.making.rounds, self.making.instructions, self.making.fields)
        return digest([VERSION, about, made, self.making.seed, self._library and self._library.digest])

    async def write(self, question: Question, sample: int) -> Transcript:
        """One transcript. Raises GuardError where the model cannot be asked."""
        tools = Toolbox(self._library, withheld=question.withheld)
        offered = tools.definitions if self.making.retrieval == "calls" else ()
        messages = self.context(question)
        turn: list[dict[str, Any]] = []
        form = ""
        tokens, said, left = Tokens(), None, self.making.rounds if offered else 0
        while said is None or (said.calls and left >= 0):
            sent = [*self._told(messages), *(_sent(message, form) for message in turn)]
            said = await self.caller.ask(self._body(sent, offered, left, question, sample))
            tokens += said.tokens
            form = said.form or form
            turn.append(_message(said))
            if said.calls and left > 0:
                turn += [_result(call, tools.run(call)) for call in said.calls]
            left -= 1
        return Transcript(messages=messages, turn=turn, tools=offered, why=_why_not(said), tokens=tokens)

    def context(self, question: Question) -> list[Mapping[str, Any]]:
        """The conversation with notes in front of the question."""
        *before, last = question.messages
        return [*before, {"role": "user", "content": noted(last["content"], self._notes(question))}]

    def _notes(self, question: Question) -> list[str]:
        notes = list(question.evidence)
        if self.making.retrieval == "notes" and self._library is not None and not question.withheld:
            for name in self._library.named_in(question.text):
                notes += self._library.about(name)
        return notes

    def _told(self, messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The messages with the instructions in front, in one system message: some templates take no second one."""
        if not self.making.instructions:
            return list(messages)
        first = messages[0]
        own = first["role"] in ("system", "developer")
        text = f"{self.making.instructions}\n\n{first['content']}" if own else self.making.instructions
        return [{"role": first["role"] if own else "system", "content": text}, *messages[int(own) :]]

    def _body(
        self, messages: Sequence[Any], tools: Sequence[Any], left: int, question: Question, sample: int
    ) -> dict[str, Any]:
        body: dict[str, Any] = {**self.making.fields, "messages": messages}
        if tools:
            body |= {"tools": list(tools)} | ({} if left > 0 else {"tool_choice": "none"})
        if self.making.seed is not None:
            drawn = hashlib.sha256(f"{self.making.seed}:{question.id}:{sample}".encode()).digest()
            body["seed"] = int.from_bytes(drawn[:3], "big")
        return body


def noted(question: str, notes: Sequence[str]) -> str:
    """A question with notes in front, on one line where they are: the form that the built-in model has learnt."""
    if not notes:
        return question
    lines = any("\n" in note for note in (*notes, question))
    return "Notes:\n" + "\n\n".join((*notes, question)) if lines else f"Notes: {' '.join(notes)} {question}"


def _message(said: Said) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.content or (None if said.calls else "")}
    message |= {"reasoning_content": said.reasoning} if said.reasoning else {}
    return message | ({"tool_calls": [_call(call) for call in said.calls]} if said.calls else {})


def _sent(message: Mapping[str, Any], form: str) -> Mapping[str, Any]:
    """A message of the turn as its server takes it: its reasoning goes back in the field it came in, or not at all."""
    thought = message.get("reasoning_content")
    bare = {name: value for name, value in message.items() if name != "reasoning_content"}
    return bare | ({form: thought} if thought and form in ("reasoning_content", "reasoning") else {})


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _result(call: ToolCall, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call.id, "content": text}


def _why_not(said: Said) -> str:
    if said.calls:
        return "it was still calling tools after the last round"
    if said.finish != "stop":
        return f"it ended with {said.finish!r}"
    return "" if said.content.strip() else "it says nothing"
