"""A Hugging Face tokenizer: counts tokens, and writes out the very text a server's chat template makes of a turn.

transformers is imported when a configuration names a tokenizer, not before. Knows no network and no requests.

Rules for an assistant turn that is not over (`turn_text`):
  The prompt is the template's generation prompt. Templates that open reasoning themselves end in the opening tag; for
  others it is written if there is reasoning, with the white space that the template puts around reasoning, unless the
  text brings its own.
  Nothing is trimmed: what the model wrote is what it sees.

Limit: over text nobody can tell a special token from a user's message that spells it; the server reads both as the
token, exactly as it does in its own chat route unless it takes care there. Use a server with a tokenizer only if you
would trust its own rendering of the same messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.core.types import Channel
from guard.errors import ConfigError, MissingExtra

# Parameters of `apply_chat_template`: what a client sends is for the template's variables only.
_RESERVED = (
    {
        "conversation",
        "messages",
        "tools",
        "documents",
        "chat_template",
        "add_generation_prompt",
        "continue_final_message",
    }
    | {"tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict"}
    | {"return_assistant_tokens_mask", "tokenizer_kwargs"}
)


class TemplateError(Exception):
    """The template cannot render this conversation."""


@dataclass(frozen=True, slots=True)
class Glue:
    """White space that a template puts behind the opening tag, before the closing one and behind that."""

    opened: str = "\n"
    closing: str = "\n"
    closed: str = "\n\n"


def turn_text(
    prompt: str, kept: Mapping[Channel, str], open_channel: Channel, tags: tuple[str, str], glue: Glue
) -> str:
    """A generation prompt with the assistant's turn so far behind it, left open in `open_channel`."""
    opening, closing = tags
    reasoning, content = kept.get("reasoning", ""), kept.get("content", "")
    inside = prompt.rstrip().endswith(opening)
    if not (inside or reasoning or open_channel == "reasoning"):
        return prompt + content
    if not inside:
        # An empty block that the template wrote to switch thinking off, in a turn that thought all the same.
        prompt = re.sub(rf"{re.escape(opening)}\s*{re.escape(closing)}\s*\Z", "", prompt)
        prompt += opening + ("" if reasoning[:1].isspace() else glue.opened)
    text = prompt + reasoning
    if open_channel == "reasoning":
        return text
    text += "" if text[-1:].isspace() else glue.closing
    return text + closing + ("" if content[:1].isspace() else glue.closed) + content


class Template:
    """A loaded tokenizer and what is known of its template.

    `renders` is False for a tokenizer without a chat template: it only counts.
    """

    def __init__(self, tokenizer: Any, tags: tuple[str, str]) -> None:
        self._tokenizer = tokenizer
        self._tags = tags
        self.renders = bool(getattr(tokenizer, "chat_template", None))
        self._glue = self._learn_glue() if self.renders else Glue()
        self._bos = self._doubled_bos()

    @classmethod
    def load(cls, source: str, tags: tuple[str, str]) -> Template:
        """Load from a directory or the hub; slow, so call it in a thread. Raises MissingExtra, ConfigError."""
        try:
            from transformers import AutoTokenizer
        except ImportError:
            raise MissingExtra(f"tokenizer {source!r} needs transformers: pip install 'premise-guard[local]'") from None
        try:
            tokenizer = AutoTokenizer.from_pretrained(source)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ConfigError(f"tokenizer {source!r} cannot be loaded: {error}") from error
        return cls(tokenizer, tags)

    def count(self, text: str) -> int:
        """Tokens of `text`, special ones that a tokenizer adds at the ends not counted."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def encode(self, text: str) -> list[int]:
        """Ids of text that goes on from other text; what spells a control token is text."""
        ids = self._plain(text)
        if self._tokenizer.added_tokens_decoder.keys().isdisjoint(ids):
            return ids
        return [id_ for char in text for id_ in self._plain(char)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens included."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def prompt(
        self,
        messages: Sequence[Mapping[str, Any]],
        kept: Mapping[Channel, str],
        open_channel: Channel,
        variables: Mapping[str, Any],
    ) -> tuple[str, int]:
        """The text a raw completion continues, and its tokens. Raises TemplateError."""
        head = self._render(messages, variables, generation=True)
        text = turn_text(head, kept, open_channel, self._tags, self._glue).removeprefix(self._bos)
        return text, self.count(text)

    def _plain(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def _render(self, messages: Sequence[Any], variables: Mapping[str, Any], *, generation: bool) -> str:
        free = {name: value for name, value in variables.items() if name not in _RESERVED}
        try:
            text = self._tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=generation, **free
            )
        except Exception as error:  # a template is a foreign program: it may raise anything
            raise TemplateError(str(error)) from error
        return str(text)

    def _learn_glue(self) -> Glue:
        """Render a known turn and look at what stands around its parts."""
        turn = {"role": "assistant", "reasoning_content": "reasoned", "content": "answered"}
        try:
            text = self._render([{"role": "user", "content": "asked"}, turn], {}, generation=False)
        except TemplateError:
            return Glue()
        opening, closing = (re.escape(tag) for tag in self._tags)
        found = re.search(rf"{opening}(\s*)reasoned(\s*){closing}(\s*)answered", text)
        return Glue(*found.groups()) if found else Glue()

    def _doubled_bos(self) -> str:
        """The beginning-of-text token if the tokenizer adds it to any text: the template's own would be a second."""
        bos, id_ = self._tokenizer.bos_token, self._tokenizer.bos_token_id
        if bos is None or self._tokenizer("a")["input_ids"][:1] != [id_]:
            return ""
        return str(bos)
