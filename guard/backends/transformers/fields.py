"""Reads a chat request's body: what this backend does with each field, and which ones it refuses.

Knows OpenAI's names (and vLLM's for what OpenAI lacks). Does not know tokens' text or models. Its rule: a field that
would change the answer is obeyed or refused with a way out, never dropped; other unknown fields pass.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guard.backends.transformers.sampling import Sampling
from guard.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """A request as the engine needs it.

    Attributes:
        limit: tokens to sample at most, or None.
        stops: stop strings.
        ends: token ids that end the turn beside the model's own.
        seed: of choice 0; choice i uses seed + i.
        told: how many alternatives OpenAI's `logprobs` tell, or None where the request wants no `logprobs`.
        variables: what the chat template is given beside the messages.
        schema: the JSON schema that the content is held to, as JSON, or None.
    """

    sampling: Sampling
    limit: int | None = None
    stops: tuple[str, ...] = ()
    ends: frozenset[int] = frozenset()
    seed: int | None = None
    told: int | None = None
    variables: Mapping[str, Any]
    schema: str | None = None


_LONGEST = 50_000
"""Characters of a schema."""

_OTHER_SERVER = "use a vLLM, SGLang or llama.cpp server (backend: openai) for it"
_SCHEMA = f"this backend constrains output by response_format json_schema alone; leave it out or {_OTHER_SERVER}"
_TOOLS = f"this backend does not call tools; leave it out or {_OTHER_SERVER}"
_SAMPLER = f"this backend does not sample that way; leave it out or {_OTHER_SERVER}"
_TEMPLATE = "the chat template is the model's own; set it in the model's folder"


def _all(names: str, way_out: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), way_out)


REFUSED: Mapping[str, str] = {
    **_all("tools tool_choice functions function_call web_search_options", _TOOLS),
    **_all("response_format structured_outputs guided_json guided_regex guided_choice guided_grammar", _SCHEMA),
    **_all("grammar json_schema regex ebnf", _SCHEMA),
    **_all("best_of use_beam_search length_penalty typical_p min_tokens ignore_eos bad_words", _SAMPLER),
    **_all("allowed_token_ids logits_processors mirostat xtc_probability dry_multiplier top_a tfs_z", _SAMPLER),
    **_all("modalities audio", "this backend writes text only; leave it out"),
    **_all("chat_template documents", _TEMPLATE),
}
"""Fields that would change the answer and cannot be served, each with the way out."""

_HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "best_of": (1,),
    "length_penalty": (1,),
    "typical_p": (1,),
    "tfs_z": (1,),
}
_RESERVED = frozenset(
    "messages conversation tools documents chat_template add_generation_prompt continue_final_message tokenize "
    "padding truncation max_length return_tensors return_dict return_assistant_tokens_mask tokenizer_kwargs "
    "sanitize_control_tokens".split()
)


def parse(body: Mapping[str, Any], *, vocabulary: int, generation: Any = None, top: int = 0) -> Fields:
    """The fields of `body`; what it leaves out comes from `generation` (a model's generation_config) or OpenAI.

    Args:
        vocabulary: size of the logits, to check token ids.
        top: alternatives to tell with each token even if the request asks for fewer.

    Raises:
        RequestError: 400, naming the field.
    """
    _refuse(body)
    wanted = int(_number(body, "top_logprobs", 0, 20, 0))
    if wanted and not body.get("logprobs"):
        raise _bad("top_logprobs", wanted, "it needs logprobs: true")
    return Fields(
        sampling=_sampling(body, generation, vocabulary, max(wanted, top)),
        limit=_limit(body),
        stops=_stops(body),
        ends=frozenset(_ids(body, "stop_token_ids", vocabulary)),
        seed=_seed(body),
        told=wanted if body.get("logprobs") else None,
        variables=_variables(body),
        schema=_schema(body),
    )


def _refuse(body: Mapping[str, Any]) -> None:
    for name, way_out in REFUSED.items():
        value = body.get(name)
        if name == "response_format" and isinstance(value, Mapping) and value.get("type") == "json_schema":
            continue
        if value and value not in _HARMLESS.get(name, ()):
            raise RequestError(f"{name}: {way_out}", param=name, code="unsupported_parameter")


def _sampling(body: Mapping[str, Any], generation: Any, vocabulary: int, top: int) -> Sampling:
    def read(name: str, low: float, high: float, default: float) -> float:
        own = getattr(generation, name, None)
        return _number(body, name, low, high, default if own is None else own)

    return Sampling(
        temperature=read("temperature", 0, 100, 1.0),
        top_p=read("top_p", 0, 1, 1.0),
        top_k=max(0, int(read("top_k", -1, vocabulary, 0))),
        min_p=read("min_p", 0, 1, 0.0),
        frequency=_number(body, "frequency_penalty", -2, 2, 0.0),
        presence=_number(body, "presence_penalty", -2, 2, 0.0),
        repetition=read("repetition_penalty", 0.01, 100, 1.0),
        bias=_bias(body, vocabulary),
        top=top,
    )


def _number(body: Mapping[str, Any], name: str, low: float, high: float, default: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _bad(name, value, f"it must be a number from {low} to {high}")
    return value


def _limit(body: Mapping[str, Any]) -> int | None:
    name = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _bad(name, value, "it must be a whole number, at least 0")
    return value


def _stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    value = body.get("stop") or ()
    stops = (value,) if isinstance(value, str) else value
    if not isinstance(stops, list | tuple) or not all(isinstance(stop, str) and stop for stop in stops):
        raise _bad("stop", value, "it must be a string or a list of strings, none of them empty")
    return tuple(stops)


def _ids(body: Mapping[str, Any], name: str, vocabulary: int) -> list[int]:
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(i, int) and 0 <= i < vocabulary for i in value):
        raise _bad(name, value, f"it must be a list of token ids under {vocabulary}")
    return value


def _bias(body: Mapping[str, Any], vocabulary: int) -> dict[int, float]:
    value = body.get("logit_bias") or {}
    if not isinstance(value, Mapping) or not all(_is_bias(*pair, vocabulary) for pair in value.items()):
        raise _bad("logit_bias", value, f"it must give token ids under {vocabulary} a number from -100 to 100")
    return {int(key): float(amount) for key, amount in value.items()}


def _is_bias(key: Any, amount: Any, vocabulary: int) -> bool:
    if not str(key).isdecimal() or int(key) >= vocabulary or isinstance(amount, bool):
        return False
    return isinstance(amount, int | float) and -100 <= amount <= 100


def _seed(body: Mapping[str, Any]) -> int | None:
    value = body.get("seed")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise _bad("seed", value, "it must be a whole number")
    return value


def _variables(body: Mapping[str, Any]) -> dict[str, Any]:
    value = body.get("chat_template_kwargs") or {}
    if not isinstance(value, Mapping) or not _RESERVED.isdisjoint(value):
        raise _bad("chat_template_kwargs", value, f"it must be an object without {', '.join(sorted(_RESERVED))}")
    effort = body.get("reasoning_effort")
    return {**({} if effort is None else {"reasoning_effort": effort}), **value}


def _schema(body: Mapping[str, Any]) -> str | None:
    """The schema of a `json_schema` format; the other formats have been refused by now or ask for nothing."""
    told = body.get("response_format")
    if not isinstance(told, Mapping) or told.get("type") != "json_schema":
        return None
    named = told.get("json_schema")
    schema = named.get("schema") if isinstance(named, Mapping) else None
    if not isinstance(schema, Mapping) or not schema:
        raise _bad("response_format", told, "json_schema must hold a `schema`, an object")
    try:
        text = json.dumps(schema)
    except RecursionError:
        text = ""
    if not 0 < len(text) <= _LONGEST:
        why = f"response_format: its schema is deeper or longer than this backend takes ({_LONGEST} characters)"
        raise RequestError(f"{why}; make it simpler", param="response_format", code="unsupported_schema")
    return text


def _bad(name: str, value: Any, wish: str) -> RequestError:
    return RequestError(f"{name}: {value!r} cannot be used; {wish}", param=name, code="invalid_value")
