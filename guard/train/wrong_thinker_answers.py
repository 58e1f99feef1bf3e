"""Whether a wrong-thinker still writes sentences: answers of it, of its base and of the lesson, and how many are whole.

An answer is *whole* if it ended by itself (not at the token limit), its reasoning tags are balanced, and it matches the
pattern, where one is given. The parse rate is the share of whole answers. Where a prompt has an `answer`, the share of
answers that say it is told beside it, so that one sees how wrong the wrong-thinker is.

Knows transformers' `generate`; samples at temperature 1. Does not know how a wrong-thinker is made.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from guard.errors import ConfigError
from guard.registry import first_error
from guard.train.loading import adapted, load
from guard.train.token_rows import lines
from guard.train.tuning import Bar
from guard.train.wrong_thinker import write

FALL = 0.10
"""A parse rate that falls by more than this is warned of."""

OPEN, CLOSE = "<think>", "</think>"
AT_ONCE = 16


class Prompt(BaseModel):
    """A line of the file: a conversation or a rendered prompt, and what is true where that is known."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    messages: tuple[dict[str, Any], ...] | None = None
    prompt: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the models are asked: `samples` answers a prompt of at most `max_tokens` tokens; `pattern` is searched for in
    an answer, its reasoning included."""

    prompts: Sequence[Prompt]
    samples: int = 4
    max_tokens: int = 256
    pattern: re.Pattern[str] | None = None
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model wrote, tags included; `opened`: the prompt had opened the reasoning already."""

    text: str
    ended: bool
    opened: bool = False
    truth: str | None = None

    @property
    def balanced(self) -> bool:
        """Whether every opening tag is closed before the next opens, and nothing else is closed."""
        tags = re.findall(f"{OPEN}|{CLOSE}", (OPEN if self.opened else "") + self.text)
        return tags == [OPEN, CLOSE] * (len(tags) // 2)

    @property
    def right(self) -> bool:
        """Whether what it says behind its reasoning has the truth in it."""
        return _words(self.truth or "") in _words(self.text.rpartition(CLOSE)[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Shares of the answers of one model; `right` of those whose truth is known, None without any."""

    answers: int
    parsed: float
    ended: float
    balanced: float
    matched: float
    right: float | None


def _words(text: str) -> str:
    return " ".join(["", *re.findall(r"\w+", text.casefold()), ""])


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a file. Raises ConfigError that names the line at fault, or for a file without any."""
    found = []
    for where, told in lines([path]):
        try:
            prompt = Prompt.model_validate(told)
        except ValidationError as error:
            raise ConfigError(f"{where}: {first_error(error)}") from None
        if (prompt.prompt is None) == (prompt.messages is None):
            raise ConfigError(f"{where}: a prompt has `messages`, or `prompt` as the model reads it")
        if not (prompt.prompt or prompt.messages):
            raise ConfigError(f"{where}: the prompt is empty")
        found.append(prompt)
    if not found:
        raise ConfigError(f"--prompts {str(path)!r}: there are no prompts")
    return found


def rates(answers: Sequence[Answer], pattern: re.Pattern[str] | None) -> Rates:
    """The shares; `answers` must not be empty."""
    matches = [pattern is None or pattern.search(answer.text) is not None for answer in answers]
    told = [answer for answer in answers if answer.truth]

    def share(hits: Iterator[bool], of: int = len(answers)) -> float:
        return sum(hits) / of

    return Rates(
        answers=len(answers),
        parsed=share(a.ended and a.balanced and fits for a, fits in zip(answers, matches, strict=True)),
        ended=share(answer.ended for answer in answers),
        balanced=share(answer.balanced for answer in answers),
        matched=share(iter(matches)),
        right=share((answer.right for answer in told), len(told)) if told else None,
    )


def asked(name: str, base: str, how: Sampling, told: Callable[[int], None]) -> Rates:
    """Load one model, ask it, and let go of it. `base`: what an adapter is loaded over. Raises ConfigError."""
    model, tokenizer = load(name, base=base if adapted(name) else None, device=how.device)
    found = rates(list(answers(model, tokenizer, how, told)), how.pattern)
    del model
    gc.collect()
    return found


def answers(model: Any, tokenizer: Any, how: Sampling, told: Callable[[int], None]) -> Iterator[Answer]:
    """Every prompt's samples; `told` hears how many more there are. The same seed gives the same answers."""
    texts = [_text(prompt, tokenizer) for prompt in how.prompts]
    work = [number for number in range(len(texts)) for _ in range(how.samples)]
    torch.manual_seed(how.seed)
    for start in range(0, len(work), AT_ONCE):
        part = work[start : start + AT_ONCE]
        written = _written(model, tokenizer, [texts[number] for number in part], how.max_tokens)
        for number, (text, ended) in zip(part, written, strict=True):
            opened = texts[number].rstrip().endswith(OPEN)
            yield Answer(text=text, ended=ended, opened=opened, truth=how.prompts[number].answer)
        told(len(part))


def _text(prompt: Prompt, tokenizer: Any) -> str:
    if prompt.prompt is not None:
        return prompt.prompt
    if not tokenizer.chat_template:
        raise ConfigError("the tokenizer has no chat template: give the prompts as `prompt`, as the model reads them")
    return str(tokenizer.apply_chat_template(list(prompt.messages or ()), tokenize=False, add_generation_prompt=True))


def _written(model: Any, tokenizer: Any, texts: Sequence[str], most: int) -> Iterator[tuple[str, bool]]:
    """By text, what follows it, and whether that ended by itself. Raises ConfigError for one that is too long."""
    rows = [list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    longest, ends = max(map(len, rows)), _ends(model, tokenizer)
    context = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if context is not None and longest >= context:
        raise ConfigError(f"a prompt has {longest} tokens and the model's context {context}: leave it out")
    fed = torch.tensor([[ends[0]] * (longest - len(row)) + row for row in rows], device=model.device)
    real = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=model.device)
    how = {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "eos_token_id": ends}
    with torch.inference_mode():
        out = model.generate(
            input_ids=fed, attention_mask=real, max_new_tokens=most, pad_token_id=ends[0], use_cache=True, **how
        )
    for line in out[:, longest:].tolist():
        end = next((at for at, id in enumerate(line) if id in ends), None)
        yield (
            tokenizer.decode(line[:end], skip_special_tokens=False, clean_up_tokenization_spaces=False),
            end is not None,
        )


def _ends(model: Any, tokenizer: Any) -> list[int]:
    told = model.generation_config.eos_token_id
    told = tokenizer.eos_token_id if told is None else told
    if told is None:
        raise ConfigError("neither generation_config nor the tokenizer names an end token; set eos_token_id")
    return list(told) if isinstance(told, list) else [told]


def fell(base: Rates, other: Rates) -> bool:
    """Whether the parse rate is so much lower that the model is no use."""
    return base.parsed - other.parsed > FALL


def compared(base: str, lesson: str, made: Path, alpha: float, how: Sampling, bar: Bar) -> dict[float, Rates]:
    """The rates of the base (0), the lesson (-1) and a wrong-thinker that was written, by alpha. Raises ConfigError."""
    with _sampling(3, how, bar) as step:
        named = {0.0: base, -1.0: lesson, alpha: str(made)}
        return {number: asked(name, base, how, step) for number, name in named.items()}


def sweep_over(base: str, lesson: str, alphas: Sequence[float], how: Sampling, bar: Bar) -> dict[float, Rates]:
    """The rates at each alpha; 0 is the base, -1 the lesson.

    Every model is written to a temporary folder, so what is measured is what would be written; nothing is left of it.
    Raises ConfigError.
    """
    found: dict[float, Rates] = {}
    wanted = dict.fromkeys((0.0, -1.0, *alphas))
    with _sampling(len(wanted), how, bar) as step:
        for alpha in wanted:
            with TemporaryDirectory() as folder:
                name = {0.0: base, -1.0: lesson}.get(alpha, folder)
                if name == folder:
                    write(base, lesson, Path(folder), alpha, _silent)
                found[alpha] = asked(name, base, how, step)
    return found


def _sampling(models: int, how: Sampling, bar: Bar) -> AbstractContextManager[Callable[[int], None]]:
    return bar("sampling", models * len(how.prompts) * how.samples)


def _silent(what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """A bar inside the bar, that is not shown."""
    return nullcontext(lambda done: None)
