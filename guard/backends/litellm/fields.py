"""From the body of a chat request to litellm's arguments.

Pure. Rules:
  litellm takes addresses, credentials, mock answers and fallbacks as arguments beside the model's own: only names known
  to be harmless pass, and a name that does not is the client's error, told by name. Nothing is dropped in silence but
  labels that change no answer (`LABELS`).
  What the body holds is never changed: litellm rewrites messages in place.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from guard.errors import RequestError

CHAT = frozenset(
    "temperature top_p max_tokens max_completion_tokens stop seed presence_penalty frequency_penalty logit_bias"
    " logprobs top_logprobs response_format tools tool_choice parallel_tool_calls functions function_call modalities"
    " audio prediction reasoning_effort verbosity user safety_identifier service_tier prompt_cache_key"
    " web_search_options".split()
)
"""OpenAI's fields that litellm translates, or refuses by name for a provider that has nothing like them."""

SAMPLING = frozenset("thinking top_k min_p top_a repetition_penalty min_tokens safety_settings".split())
"""Providers' own words in wide use."""

LABELS = frozenset({"metadata", "store"})
"""For the provider's dashboards; litellm keeps records of its own under `metadata`."""

_ASKED_ANEW = frozenset({"model", "messages", "stream", "stream_options", "n"})


def arguments(body: Mapping[str, Any], passing: Collection[str]) -> dict[str, Any]:
    """Arguments for `litellm.acompletion`, the messages among them; `passing` are further names the operator allows.

    Raises RequestError naming a field that may not pass.
    """
    found: dict[str, Any] = {"messages": copy.deepcopy(list(body["messages"]))}
    for name, value in body.items():
        if name in _ASKED_ANEW or name in LABELS or value is None:
            continue
        if name not in CHAT and name not in SAMPLING and name not in passing:
            raise RequestError(
                f"the field {name!r} is not passed on by the litellm backend (its option pass_fields allows more)",
                param=name,
                code="unsupported_field",
            )
        found[name] = copy.deepcopy(value)
    return found
