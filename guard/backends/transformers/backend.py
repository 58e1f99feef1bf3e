"""The plug-in: loads the model, keeps the engine, begins turns.

Knows guard.yaml's options for this backend. Does not know how anything below it works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from guard.backends import ChatRequest, Options, estimate_tokens
from guard.backends.transformers.choice import Loaded
from guard.backends.transformers.engine import Engine
from guard.backends.transformers.fields import parse
from guard.backends.transformers.grammar import Grammars
from guard.backends.transformers.head import read
from guard.backends.transformers.labels import Look, Spellings
from guard.backends.transformers.model import load
from guard.backends.transformers.prompt import Template
from guard.backends.transformers.sampling import Step
from guard.backends.transformers.shelf import Shelf
from guard.backends.transformers.splitter import Tags
from guard.backends.transformers.turn import LocalTurn
from guard.backends.transformers.vocabulary import Vocabulary
from guard.errors import ConfigError, RequestError, UpstreamError


class LocalOptions(Options):
    """A local model.

    Attributes:
        model: folder or hub name; a folder that exists is read without the network.
        tokenizer: folder or hub name, where it is not the model's.
        dtype: ``auto`` is float32 on the CPU and the files' own elsewhere; else a torch name.
        device: ``auto`` is CUDA where there is one, else the CPU.
        reasoning: ``none``: all text is content. Else text between the tags is reasoning; whether the template opens
            it is seen in the render (`field`, `inline`), or told (`inline_open`: every turn begins inside).
        open, close: the reasoning tags.
        threads: torch threads; more than one rarely pays on a busy machine.
        max_concurrent: attempts that take turns; more wait, but not for one whose reader has stopped reading.
        top: alternatives to keep with every token, whether or not the client asks for log-probabilities.
        hidden: compute the last hidden state of every token, for programs that look at it.
        probe: file that `guard train probe` wrote for this very model: every token then tells what it makes of it.
    """

    model: str
    tokenizer: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    reasoning: Literal["field", "inline", "inline_open", "none"] = "field"
    open: str = Field("<think>", min_length=1)
    close: str = Field("</think>", min_length=1)
    threads: int = Field(1, ge=1)
    max_concurrent: int = Field(8, ge=1)
    top: int = Field(0, ge=0)
    hidden: bool = False
    probe: str | None = None


class TransformersBackend:
    """A transformers model in this process; continues cut turns token-exactly."""

    Options: ClassVar[type[Options]] = LocalOptions

    def __init__(self, options: LocalOptions) -> None:
        self._options = options
        self._engine = Engine(threads=options.threads, most=options.max_concurrent)
        self._tags: Tags | None = None if options.reasoning == "none" else (options.open, options.close)
        self._loaded: Loaded | None = None
        self._template: Template | None = None
        self._spellings: Spellings | None = None
        self.on_step: Callable[[Step], None] | None = None
        """Told every token chosen from the next `begin` on, on the engine's thread: be quick."""

    async def start(self) -> None:
        """Load the model and start its thread. Raises ConfigError."""
        await asyncio.to_thread(self._load)
        self._engine.start()

    async def close(self) -> None:
        """Stop the thread; attempts that still run fail. Safe to call twice."""
        await asyncio.to_thread(self._engine.close)

    def begin(self, request: ChatRequest) -> LocalTurn:
        """A turn. Raises RequestError for fields that cannot be obeyed, UpstreamError before `start`."""
        loaded, template, _ = self._started()
        if request.n < 1:
            raise RequestError(f"n: {request.n!r} choices cannot be given; ask for at least 1", param="n")
        model, top = loaded.model, max(self._options.top, request.top_logprobs)
        body = request.body if request.prompt is None else _raw(request.body)
        fields = parse(body, vocabulary=model.vocabulary, generation=model.generation, top=top)
        tags = loaded.tags if request.prompt is None else None  # raw text is one channel
        return LocalTurn(request, fields, self._engine, template, replace(loaded, on_step=self.on_step, tags=tags))

    async def score(
        self, request: ChatRequest, words: Sequence[str], spend: Callable[[int], None]
    ) -> Mapping[str, float]:
        """How likely the answer goes on with each of `words` behind the request's unfinished turn (see `labels`).

        One pass; `spend` is told the prompt's tokens, also where the look was given up. Raises RequestError for a
        request that cannot be used, UpstreamError where the model fails.
        """
        loaded, template, spellings = self._started()
        body = {name: value for name, value in request.body.items() if name != "response_format"}
        variables = parse(body, vocabulary=loaded.model.vocabulary).variables
        prompt = await asyncio.to_thread(template.prompt, request, variables)
        tokens = await asyncio.to_thread(spellings.tokens, tuple(words))
        answer: asyncio.Future[Mapping[str, float]] = asyncio.get_running_loop().create_future()
        self._engine.submit([Look(prompt.ids, dict(zip(words, tokens, strict=True)), loaded, answer)])
        try:
            return await answer
        finally:
            spend(len(prompt.ids))
            self._engine.wake()  # a look that nobody waits for any more leaves

    def count(self, text: str) -> int:
        """Tokens of `text`, exactly; estimated before `start`."""
        return len(self._loaded.vocabulary.encode(text)) if self._loaded else estimate_tokens(text)

    async def ready(self) -> Mapping[str, Any]:
        """Whether the engine computes, and what it is."""
        return {
            "ok": self._engine.alive,
            "continuation": "token_exact",
            "model": self._options.model,
            "device": str(self._loaded.model.device) if self._loaded else self._options.device,
        }

    def _started(self) -> tuple[Loaded, Template, Spellings]:
        if self._loaded is None or self._template is None or self._spellings is None:
            raise UpstreamError("the local model is not loaded", status=503)
        return self._loaded, self._template, self._spellings

    def _load(self) -> None:
        told = self._options
        model, tokenizer = load(
            told.model, tokenizer=told.tokenizer, dtype=told.dtype, device=told.device, hidden=told.hidden
        )
        head = None if told.probe is None else read(Path(told.probe), model)
        if head is not None:
            model.layer = head.layer
        vocabulary, opens = Vocabulary(tokenizer, self._tags or ()), told.reasoning == "inline_open"
        self._template = Template(tokenizer, vocabulary, self._tags, opens=opens, positions=model.positions)
        ends = _ends(model.generation, tokenizer)
        grammars = Grammars(vocabulary, ends, model.vocabulary)
        self._spellings = Spellings(vocabulary, model.vocabulary)
        self._loaded = Loaded(model, vocabulary, self._tags, ends, grammars, Shelf(), head)


def _raw(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A raw completion's `logprobs` is how many alternatives to tell."""
    told = body.get("logprobs")
    return body if told is None else {**body, "logprobs": True, "top_logprobs": told}


def _ends(generation: Any, tokenizer: Any) -> frozenset[int]:
    told = getattr(generation, "eos_token_id", None)
    told = tokenizer.eos_token_id if told is None else told
    if told is None:
        raise ConfigError("neither generation_config nor the tokenizer names an end token; set eos_token_id")
    return frozenset(told if isinstance(told, list) else [told])
