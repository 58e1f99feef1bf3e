"""Providers that speak no OpenAI dialect, through litellm: Anthropic, Gemini, Bedrock, Vertex, Cohere and others.

litellm translates; the format that it translates to is `guard.chat`'s. For a server that speaks OpenAI's format use the
`openai` backend: it is forty times cheaper a chunk and continues more exactly. litellm is loaded at `start` and not
before (`library`), asked over guard's own connections (`caller`, `line`), and read as JSON (`answer`). It does not know
policies, checks or clients.

How a cut turn goes on, first that applies: `tool_answers` where calls were made, Claude's signed reasoning in front of
them; `field_prefill` where litellm's table says that the model goes on with a last assistant message; else `reask`.
Reasoning of these providers is signed or hidden: a turn that is cut in its reasoning is asked again.
"""

from guard.backends.litellm.backend import LiteLLMBackend
from guard.backends.litellm.options import LiteLLMOptions, Timeouts

plugin = LiteLLMBackend

__all__ = ["LiteLLMBackend", "LiteLLMOptions", "Timeouts", "plugin"]
