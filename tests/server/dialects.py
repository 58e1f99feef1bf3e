"""Answers in every dialect of the OpenAI chat API: what is said is a function of the request.

The seed of an answer is a hash of the request without what a supervisor may change (`stream`, `stream_options`,
`model`); `dialect` in a request pins fields of `Dialect`.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

WORDS = (
    "Ada", " was", " born", " in 1815", ".", "\n\n", " \"usage\"", "usage", " <b>", "</th", "ink", " é", " 你好", "🙂",
    "\u2028", " 12 * 4 = 46.", "\\n", "{}", " שלום", "```", "\t", " data: ", "\x7f", "e\u0301",
)  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """How a server speaks."""

    reasoning: str = ""  # reasoning_content, reasoning, both, typed, inline
    role: str = "own"  # own, with_text, every, none
    finish: str = "own"  # own, with_text
    usage: str = "last"  # last, nulls (and last), every, with_finish, none
    tools: str = "fragments"  # fragments, whole
    together: bool = False  # all choices in one chunk
    paired: bool = False  # reasoning and content in one chunk where they meet
    azure: bool = False  # opens with an empty chunk of its own
    top: bool = False  # fields beside `choices`
    beside: bool = False  # fields beside `delta`
    odd: str = ""  # unknown fields of a delta: alone, with_text
    whole: bool = False  # ignores `stream`

    @classmethod
    def of(cls, rng: random.Random) -> Dialect:
        """Any."""
        return cls(
            reasoning=rng.choice(["", "reasoning_content", "reasoning", "both", "typed", "inline"]),
            role=rng.choice(["own", "own", "with_text", "every", "none"]),
            finish=rng.choice(["own", "own", "with_text"]),
            usage=rng.choice(["last", "nulls", "every", "with_finish", "none"]),
            tools=rng.choice(["fragments", "whole"]),
            **{name: rng.random() < 0.3 for name in ("together", "paired", "azure", "top", "beside")},
            odd=rng.choice(["", "alone", "with_text"]),
            whole=rng.random() < 0.1,
        )


def seed_of(body: dict[str, Any]) -> int:
    """The same for a request and for what a supervisor makes of it."""
    same = {name: value for name, value in body.items() if name not in ("stream", "stream_options", "model", "cut")}
    return int.from_bytes(hashlib.sha256(json.dumps(same, sort_keys=True).encode()).digest()[:8], "big")


class Spoken:
    """The answer to one request: `chunks` as they are streamed, `document` where they are not."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.rng = random.Random(seed_of(body))
        self.dialect = replace(Dialect.of(self.rng), **body.get("dialect", {}))
        known = {item.name for item in fields(Dialect)}
        assert known >= set(body.get("dialect", {}))
        self.n = body.get("n") or 1
        self.usage = {
            "prompt_tokens": self.rng.randint(1, 99),
            "completion_tokens": self.rng.randint(1, 99),
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 3},
            "cost": 0.25,
        }
        self.chunks = list(self._chunks())

    def _head(self) -> dict[str, Any]:
        head: dict[str, Any] = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1700000000}
        head["model"] = "upstream-1"
        if self.dialect.top:
            head |= {"system_fingerprint": "fp_1", "service_tier": "default", "provider": "P", "citations": ["a", "b"]}
        return head

    def _words(self, most: int = 6) -> list[str]:
        return [self.rng.choice(WORDS) for _ in range(self.rng.randint(1, most))]

    def _reasoning(self, text: str) -> dict[str, Any]:
        match self.dialect.reasoning:
            case "both":
                return {"reasoning_content": text, "reasoning": text}
            case "typed":
                return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
            case name:
                return {name: text}

    def _texts(self) -> list[dict[str, Any]]:
        words, form = self._words(), self.dialect.reasoning
        if form == "inline":
            text = "<think>" + "".join(self._words()) + "</think>" + "".join(words)
            return [{"content": part} for part in cuts(text, self.rng)]
        if form == "typed":
            words_out: list[dict[str, Any]] = [{"content": [{"type": "text", "text": word}]} for word in words]
            words_out.append({"content": [{"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "!"}]})
        else:
            words_out = [{"content": word} for word in words]
        thoughts = [self._reasoning(word) for word in self._words()] if form else []
        if self.dialect.paired and thoughts and form != "typed":
            return [*thoughts[:-1], thoughts[-1] | words_out[0], *words_out[1:]]
        return thoughts + words_out

    def _odd(self) -> dict[str, Any]:
        return self.rng.choice(
            [
                {"refusal": "I can" + self.rng.choice(["'t", "not"])},
                {"annotations": [{"type": "url_citation", "n": self.rng.randint(0, 9)}]},
                {"audio": {"id": "audio_1", "data": self.rng.choice(["UklG", "Ug==", "UmI="]), "transcript": "a "}},
                {"audio": {"id": "audio_1", "expires_at": 5}},
                {"reasoning_details": [{"type": "reasoning.text", "text": "t"}]},
                {"note": self.rng.choice(["x", "y"])},
                {"meta": {"deep": [1, {"k": self.rng.randint(0, 9)}]}},
                {"odd": None, "more": self.rng.choice([True, 0, 1.5])},
            ]
        )

    def _calls(self) -> list[dict[str, Any]]:
        """Parallel calls, whole in one delta or in fragments."""
        if self.body.get("functions"):
            return [{"function_call": {"name": "f", "arguments": '{"a":'}}, {"function_call": {"arguments": " 1}"}}]
        if not self.body.get("tools") or self.rng.random() < 0.3:
            return []
        calls = [
            {
                "index": number,
                "id": f"call_{number}",
                "type": "function",
                "function": {"name": f"f{number}", "arguments": '{"q": "é"}'},
                "extra_content": {"google": {"thought_signature": f"s{number}"}},
            }
            for number in range(self.rng.randint(1, 2))
        ]
        if any(tool["type"] == "custom" for tool in self.body["tools"]):
            custom = {"name": "grep", "input": "a+"}
            calls.append({"index": len(calls), "id": "call_c", "type": "custom", "custom": custom})
        if self.dialect.tools == "whole":
            return [{"tool_calls": calls}]
        first = [{"content": None, "tool_calls": [call]} for call in calls]
        rest = [
            {"tool_calls": [{"index": call["index"], "function": {"arguments": part}}]}
            for part in (" ", "\n")
            for call in calls
            if "function" in call
        ]
        return first + rest

    def _choice(self, index: int) -> list[dict[str, Any]]:
        """The entries of one choice, in order."""
        dialect, rng = self.dialect, self.rng
        deltas = self._texts()
        deltas = [
            delta | self._odd() if dialect.odd == "with_text" and rng.random() < 0.4 else delta for delta in deltas
        ]
        for _ in range(rng.randint(1, 3) if dialect.odd == "alone" else 0):
            deltas.insert(rng.randint(0, len(deltas)), self._odd())
        calls = self._calls()
        deltas += calls
        if dialect.role == "own":
            deltas.insert(0, {"role": "assistant", "content": "", "refusal": None})
        elif dialect.role != "none":
            deltas = [
                {"role": "assistant"} | d if not i or dialect.role == "every" else d for i, d in enumerate(deltas)
            ]
        entries = [self._entry(index, delta) for delta in deltas]
        if dialect.finish == "own":
            entries.append(self._entry(index, {}))
        reason = ("function_call" if self.body.get("functions") else "tool_calls") if calls else "stop"
        entries[-1] |= {"finish_reason": rng.choice([reason, reason, "length", "content_filter"])}
        entries[-1] |= {"stop_reason": 128009} if dialect.beside else {}
        return entries

    def _entry(self, index: int, delta: dict[str, Any]) -> dict[str, Any]:
        entry: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": None}
        text = delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning")
        if self.body.get("logprobs"):
            entry["logprobs"] = None
            if isinstance(text, str):
                tokens = [{"token": c, "logprob": -0.5, "bytes": list(c.encode()), "top_logprobs": []} for c in text]
                entry["logprobs"] = {"content": tokens, "refusal": None}
        if self.dialect.beside:
            entry |= {"token_ids": [self.rng.randint(0, 9)], "content_filter_results": {"n": self.rng.randint(0, 3)}}
        return entry

    def _chunks(self) -> Iterator[dict[str, Any]]:
        dialect = self.dialect
        if dialect.azure:
            empty = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
            yield empty | {"prompt_filter_results": [{"prompt_index": 0}]}
        queues = [self._choice(index) for index in range(self.n)]
        asked = bool((self.body.get("stream_options") or {}).get("include_usage"))
        while any(queues):
            ready = [queue for queue in queues if queue]
            taken = ready if dialect.together else [self.rng.choice(ready)]
            chunk = self._head() | {"choices": [queue.pop(0) for queue in taken]}
            if dialect.usage == "every":
                chunk["usage"] = self.usage | {"completion_tokens": 1}
            elif dialect.usage == "with_finish" and not any(queues):
                chunk["usage"] = self.usage
            elif dialect.usage == "nulls" and asked:
                chunk["usage"] = None
            yield chunk
        if dialect.usage in ("last", "nulls", "every") and asked:
            yield self._head() | {"choices": [], "usage": self.usage}


def cuts(text: str, rng: random.Random) -> list[str]:
    """A text in random pieces."""
    out = []
    while text:
        size = rng.randint(1, 7)
        out.append(text[:size])
        text = text[size:]
    return out


def document(spoken: Spoken) -> dict[str, Any]:
    """A whole answer, of the kind that a server gives that does not stream: plain on purpose."""
    rng = random.Random(seed_of(spoken.body))
    choices = []
    for index in range(spoken.n):
        message = {"role": "assistant", "content": "".join(rng.choice(WORDS) for _ in range(5)), "annotations": [1]}
        if spoken.dialect.reasoning in ("reasoning", "reasoning_content"):
            message[spoken.dialect.reasoning] = "Hm."
        if spoken.body.get("tools"):
            call = {
                "id": "c",
                "type": "function",
                "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"s": 1},
            }
            message["tool_calls"] = [call]
        reason = "tool_calls" if spoken.body.get("tools") else "stop"
        choices.append({"index": index, "message": message, "finish_reason": reason, "stop_reason": 7})
    head = {"id": "chatcmpl-up", "object": "chat.completion", "created": 1700000000, "model": "upstream-1"}
    return head | {"provider": "P", "choices": choices, "usage": spoken.usage}
